// Counts over time. A bin is {start, end, counts}: so much was counted between two moments of the server's clock.
// Nothing here knows the page.

/** What is counted; the same names as in the `history` of an answer. */
export const COUNTS = ["hits", "misses", "coalesced", "stale_hits", "stale_served", "wait_timeouts", "success", "failure",
  "rejected", "fallback", "retries", "timeouts"];

const LONGEST = 86_400; // seconds that are kept
const GAP = 15; // seconds without an answer after which the server's history knows better than a difference
const TIERS = [[5400, 300], [150, 15]]; // [older than, merged to], in seconds

const zero = () => Object.fromEntries(COUNTS.map((name) => [name, 0]));

/** The counts of *parts* together. */
export function sum(parts) {
  const total = zero();
  for (const part of parts) for (const name of COUNTS) total[name] += part[name] || 0;
  return total;
}

/** What has been counted since the start: of all functions together if the answer says so, else of each. */
function totalsOf({ totals, functions }) {
  return new Map(totals ? [["", totals]] : functions.map((each) => [each.function, { ...each.cache, ...each.runs }]));
}

/** What was counted between two totals. A counter that fell has been restarted, and one that is new has no before. */
export function difference(before, after) {
  const counted = zero();
  for (const [name, now] of after) {
    const then = before.get(name);
    for (const each of then ? COUNTS : []) counted[each] += Math.max(0, (now[each] || 0) - (then[each] || 0));
  }
  return counted;
}

/** Neighbours in one slot of *width* seconds become one bin. Slots lie still, so that bins do not flicker. */
export function coarsen(bins, width) {
  const merged = [];
  let slot = null;
  for (const bin of bins) {
    const here = Math.floor((bin.start + bin.end) / 2 / width);
    const last = merged.at(-1);
    if (last && here === slot && bin.start - last.end < width) {
      merged[merged.length - 1] = { start: last.start, end: bin.end, counts: sum([last.counts, bin.counts]) };
    } else {
      merged.push(bin);
    }
    slot = here;
  }
  return merged;
}

/** How much was counted per second in *bin*, all counts together. */
const busyness = (bin) => COUNTS.reduce((all, name) => all + bin.counts[name], 0) / (bin.end - bin.start);

/** The part of *bin* after *moment*, as if its counts were spread evenly over it. */
function after(bin, moment) {
  if (moment <= bin.start) return bin;
  const share = (bin.end - moment) / (bin.end - bin.start);
  return { start: moment, end: bin.end, counts: Object.fromEntries(COUNTS.map((name) => [name, bin.counts[name] * share])) };
}

function binsOf(history) {
  const columns = COUNTS.filter((name) => Array.isArray(history[name]));
  const length = Math.max(0, ...columns.map((name) => history[name].length));
  return Array.from({ length }, (_, index) => ({
    start: history.end - (length - index) * history.step,
    end: history.end - (length - index - 1) * history.step,
    counts: { ...zero(), ...Object.fromEntries(columns.map((name) => [name, Math.max(0, history[name][index] || 0)])) },
  }));
}

/** The histories of an answer as one row of bins: each window up to where the next shorter one, which is finer, begins.
 *
 * All end at the same time.
 */
export function fromHistories(histories) {
  const known = Object.values(histories ?? {}).filter((each) => each && each.step > 0 && Number.isFinite(each.end));
  let row = [];
  for (const finer of known.sort((one, other) => other.step - one.step).map(binsOf).filter((bins) => bins.length)) {
    const begin = finer[0].start;
    const straddling = row.find((bin) => bin.start < begin && bin.end > begin);
    row = row.filter((bin) => bin.end <= begin);
    if (straddling) {
      // What the finer ones do not account for was counted before them. If it is less than on both sides, the server
      // has only begun to count that slice: nothing is known of its beginning, and it is not to look like an outage.
      const inside = sum(finer.map((bin) => bin.counts));
      const left = COUNTS.map((name) => [name, Math.max(0, straddling.counts[name] - inside[name])]);
      const rest = { start: straddling.start, end: begin, counts: Object.fromEntries(left) };
      if (busyness(rest) >= Math.min(row.length ? busyness(row.at(-1)) : 0, busyness(finer[0])) * 0.999) row.push(rest);
    }
    row.push(...finer);
  }
  return row;
}

/** What is known of the past: the server's history from before this page was opened, and all answers since. */
export class Timeline {
  constructor() {
    this.bins = [];
    this.now = null;
    this.totals = new Map();
  }

  /** Add what an answer tells; one without `totals` must be about all the time since the start. */
  add(answer) {
    const current = totalsOf(answer);
    const passed = this.now === null ? Infinity : answer.now - this.now;
    if (passed === 0) return;
    if (passed < 0) this.bins = [];
    if (passed < 0 || passed > GAP) {
      const end = this.bins.at(-1)?.end ?? -Infinity;
      const past = fromHistories(answer.history);
      // The last slice is still being counted: it would look like an outage as well.
      if (past.length > 1 && busyness(past.at(-2)) > 0) past.pop();
      this.bins.push(...past.filter((bin) => bin.end > end).map((bin) => after(bin, end)));
    } else {
      this.bins.push({ start: this.now, end: answer.now, counts: difference(this.totals, current) });
    }
    this.now = answer.now;
    this.totals = current;
    this.forget();
  }

  /** Old bins get coarser, so that a page open for days stays as light as it was. */
  forget() {
    this.bins = this.bins.filter((bin) => bin.end > this.now - LONGEST);
    for (const [age, width] of TIERS) {
      const young = this.bins.findIndex((bin) => bin.end > this.now - age);
      this.bins = [...coarsen(this.bins.slice(0, young < 0 ? 0 : young), width), ...this.bins.slice(young < 0 ? 0 : young)];
    }
  }

  /** When something was first counted, as far as known; null: nothing was. */
  get start() {
    return this.bins.find((bin) => busyness(bin) > 0)?.start ?? null;
  }

  /** What was counted in the last *length* seconds, and in how many of them that is known: {counts, seconds}, or null. */
  last(length) {
    const from = (this.now ?? 0) - length;
    const parts = this.bins.filter((bin) => bin.end > from).map((bin) => after(bin, from));
    const seconds = parts.reduce((all, bin) => all + bin.end - bin.start, 0);
    return parts.length ? { counts: sum(parts.map((bin) => bin.counts)), seconds } : null;
  }

  /** The bins from a moment on, none narrower than *width* seconds. */
  since(from, width) {
    return coarsen(this.bins.filter((bin) => bin.end > from), width);
  }
}
