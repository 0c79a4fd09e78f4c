// The page: asks, and lets each of its parts show what came.

import { Chart } from "./charts.js";
import { Circuits } from "./circuits.js";
import { byId, element, write } from "./elements.js";
import { Feed } from "./feed.js";
import { CALLS, RATIO, WAITS } from "./series.js";
import { Table } from "./table.js";
import { drawTiles, notesOn, titleOf } from "./tiles.js";
import { Timeline } from "./timeline.js";
import { clock, span } from "./units.js";

const OLD = 15; // seconds after which answers that no longer change are called old
const SHORTEST = 60; // seconds that charts show at least
const LONGEST = 86_400;
const USUAL = { window: "3600", sort: "-circuit", filter: "" };

const timeline = new Timeline();
const charts = [new Chart(byId("chart-ratio"), RATIO), new Chart(byId("chart-calls"), CALLS), new Chart(byId("chart-waits"), WAITS)];
const circuits = new Circuits(byId("chart-circuits"));
const table = new Table({ changed: remember });
const seen = { answer: null, figures: null, at: null, fresh: null, trouble: "" }; // at: when it came; fresh: when it was new

/** Where the charts begin: at the window's beginning, or when counting began if that is later. */
function beginning(now) {
  const earliest = now - (Number(feed.window) || LONGEST);
  const begun = timeline.start ?? now;
  return Math.min(now - SHORTEST, Math.max(earliest, begun - (now - begun) * 0.02));
}

function drawCharts() {
  if (!seen.answer) return;
  const { now, functions } = seen.answer;
  const from = beginning(now);
  for (const chart of charts) chart.draw(timeline, from, now);
  circuits.draw(functions, from, now);
}

function draw() {
  const { functions } = seen.answer;
  document.body.dataset.empty = functions.length === 0;
  byId("empty").hidden = functions.length > 0;
  document.title = titleOf(functions);
  drawTiles(timeline, functions);
  drawCharts();
  table.draw(seen.figures.functions);
  const notes = notesOn(functions);
  byId("notes").replaceChildren(...notes.map((each) => element("li", "", each)));
}

/** Say how old the figures are, and what is wrong if they are old. */
function drawStatus() {
  const time = Date.now() / 1000;
  const old = seen.at - seen.fresh > OLD;
  const state = seen.trouble ? "lost" : old ? "old" : seen.answer ? "live" : "waiting";
  const since = seen.fresh === null ? "" : ` since ${clock(seen.fresh)}`;
  byId("status").dataset.state = state;
  document.body.dataset.state = state;
  const words = { waiting: "Waiting for figures", live: "Live", old: `No change${since}`, lost: `No figures${since}` };
  write(byId("state"), words[state]);
  write(byId("why"), { old: ": the server repeats itself", lost: `: ${seen.trouble}. Trying again` }[state] ?? "");
  const age = seen.fresh === null ? "" : `${span(time - seen.fresh)} old`;
  write(byId("updated"), state === "live" ? clock(seen.fresh) : age);
}

const feed = new Feed({
  answered(answer, figures) {
    const at = Date.now() / 1000;
    if (seen.answer?.now !== answer.now) seen.fresh = at;
    Object.assign(seen, { answer, figures, at, trouble: "" });
    timeline.add(answer);
    draw();
    drawStatus();
  },
  failed(why) {
    seen.trouble = why;
    drawStatus();
  },
});

/** Keep what the reader chose in the address, so that it survives a reload and can be sent to somebody. */
function remember() {
  const chosen = { window: feed.window, sort: (table.descending ? "-" : "") + table.column.id, filter: table.filter.value };
  const unusual = Object.entries(chosen).filter(([name, value]) => value !== USUAL[name]);
  history.replaceState(null, "", unusual.length ? `#${new URLSearchParams(unusual)}` : location.pathname + location.search);
}

function recall() {
  const chosen = { ...USUAL, ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
  const radios = [...document.querySelectorAll("#windows input")];
  const radio = radios.find((each) => each.value === chosen.window) ?? radios.find((each) => each.value === USUAL.window);
  radio.checked = true;
  feed.window = radio.value;
  table.filter.value = chosen.filter;
  table.sort(chosen.sort.replace(/^-/, ""), chosen.sort.startsWith("-"));
}

byId("windows").addEventListener("change", (event) => {
  feed.now(event.target.value);
  drawCharts();
  remember();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
globalThis.addEventListener("hashchange", () => {
  recall();
  feed.now();
});
setInterval(drawStatus, 1000);
recall();
feed.now();
