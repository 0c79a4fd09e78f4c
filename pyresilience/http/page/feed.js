// The figures, asked for again and again while the page can be seen.

const EVERY = 2000; // ms from one answer to the next question,
const SHARE = 4; // or so many times what the answer took: a busy server is not to be kept busy by being looked at
const PATIENCE = 10_000; // ms for an answer

/** Why a question was not answered, in words for the reader. */
class Trouble extends Error {}

async function ask(window, signal) {
  const address = new URL("stats.json", document.baseURI);
  if (window) address.searchParams.set("window", window);
  let answer;
  try {
    answer = await fetch(address, { cache: "no-store", signal });
  } catch (error) {
    throw signal.reason instanceof Trouble ? signal.reason : new Trouble("the server cannot be reached", { cause: error });
  }
  if (!answer.ok) throw new Trouble(`the server answered ${answer.status} ${answer.statusText}`.trim());
  try {
    const figures = await answer.json();
    if (Array.isArray(figures?.functions) && Number.isFinite(figures?.now)) return figures;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw new Trouble("the server's answer is no JSON", { cause: error });
  }
  throw new Trouble("the server's answer has no figures");
}

/** Asks for the figures of a window, which the table shows, and for those since the start, which charts are made of.
 *
 * `answered(since start, of the window)` and `failed(why)` are called as it goes; an answer with `totals` is both. In a
 * hidden tab it rests; when it fails it goes on asking.
 */
export class Feed {
  constructor({ answered, failed }) {
    this.answered = answered;
    this.failed = failed;
    this.window = "";
    this.round = 0;
    document.addEventListener("visibilitychange", () => this.now());
    globalThis.addEventListener("online", () => this.now());
    globalThis.addEventListener("pageshow", (event) => event.persisted && this.now());
  }

  /** Ask now, about *window* (in seconds, or "" for all the time) from here on. */
  now(window = this.window) {
    this.window = window;
    clearTimeout(this.timer);
    this.round += 1;
    if (!document.hidden) this.go(this.round);
  }

  async go(round) {
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(new Trouble(`no answer within ${PATIENCE / 1000} s`)), PATIENCE);
    const { window } = this;
    const begun = performance.now();
    let tell;
    try {
      const some = await ask(window, limit.signal);
      const all = window && !some.totals ? await ask("", limit.signal) : some;
      tell = () => this.answered(all, some);
    } catch (error) {
      tell = () => this.failed(error.message);
    }
    clearTimeout(timer);
    if (round !== this.round) return; // asked anew meanwhile
    this.timer = setTimeout(() => this.now(), Math.max(EVERY, SHARE * (performance.now() - begun)));
    tell();
  }
}
