// The head line: what is going on now.

import { tally } from "./circuits.js";
import { byId, functionName, write } from "./elements.js";
import { hitRatio, staleRatio } from "./series.js";
import { brief, bytes, count, isNumber, percent, rate } from "./units.js";

const NOW = 10; // seconds that "now" is
const MINUTE = 60;

function tile(id, value, more, mood = "") {
  const place = byId(id);
  write(place.querySelector("b"), value);
  const below = place.querySelector(".more");
  if (more instanceof Element ? below.textContent !== more.textContent : below.firstElementChild) below.replaceChildren(more);
  else if (!(more instanceof Element)) write(below, more);
  place.dataset.mood = mood;
}

const total = (functions, of) => functions.reduce((all, each) => all + (of(each) || 0), 0);

/** One name as far as there is room, several without their modules. */
function namesOf(functions) {
  if (functions.length === 1) return functionName(functions[0].function);
  return functions.map((each) => each.function.slice(each.function.lastIndexOf(".") + 1)).join(", ");
}

/** Calls among counts: hits, and what ended otherwise; caches without a pipeline count misses and no outcomes. */
function callsIn({ hits, misses, success, failure, rejected, fallback }) {
  return hits + Math.max(misses, success + failure + rejected + fallback);
}

/** Show the head line of what is known now. */
export function drawTiles(timeline, functions) {
  const bin = timeline.last(NOW);
  const seconds = bin?.seconds ?? 1;
  const perSecond = (number) => (bin ? `${rate(number / seconds)}/s` : "–");
  const counts = bin?.counts ?? {};
  const failing = (counts.failure ?? 0) + (counts.rejected ?? 0);
  const minute = timeline.last(MINUTE);

  tile("tile-calls", bin ? perSecond(callsIn(counts)) : "–", `in ${count(functions.length)} ${functions.length === 1 ? "function" : "functions"}`);
  const stale = minute && staleRatio(minute.counts);
  tile("tile-ratio", percent(minute && hitRatio(minute.counts)), stale ? `and ${percent(stale)} stale in 1 min` : "in the last minute");
  tile("tile-failing", perSecond(failing), bin && failing > 0
    ? `${brief(counts.failure / seconds)} failed, ${brief(counts.rejected / seconds)} rejected` : "none failed, none rejected", failing > 0 ? "bad" : "");

  const circuits = functions.filter((each) => each.circuit);
  const open = circuits.filter((each) => each.circuit.state === "open");
  const states = tally(functions);
  const others = states.half_open ? `${states.half_open} half-open, ${states.closed} closed` : `${states.closed} closed`;
  tile("tile-circuits", circuits.length ? `${open.length} of ${circuits.length}` : "–",
    open.length ? namesOf(open) : circuits.length ? others : "no circuit breaker",
    open.length ? "bad" : states.half_open ? "warning" : "");

  const cached = functions.filter((each) => each.cache);
  const entries = total(cached, (each) => each.cache.entries);
  const sized = cached.some((each) => isNumber(each.cache.bytes));
  const size = sized ? bytes(total(cached, (each) => each.cache.bytes)) : "of unknown size";
  const reloading = total(cached, (each) => each.cache.reloading);
  tile("tile-entries", cached.length ? count(entries) : "–",
    cached.length ? `${size} in ${cached.length} ${cached.length === 1 ? "cache" : "caches"}${reloading ? `, ${count(reloading)} reloading` : ""}` : "no cache");
}

/** The title of the tab tells of open circuits. */
export function titleOf(functions) {
  const { open } = tally(functions);
  return open ? `(${open} open) pyresilience` : "pyresilience";
}

/** What a reader of the figures must know: [text, …]. */
export function notesOn(functions) {
  const notes = [];
  const sampled = functions.filter((each) => isNumber(each.cache?.sampling_rate) && each.cache.sampling_rate < 1);
  if (sampled.length) {
    const some = sampled.slice(0, 5).map((each) => `${each.function} (${percent(each.cache.sampling_rate)} of its calls)`);
    const rest = sampled.length > some.length ? ` and ${sampled.length - some.length} more` : "";
    notes.push(`Sampled, so that counts are below what really happened: ${some.join(", ")}${rest}.`);
  }
  for (const each of functions.filter((one) => one.listener_errors > 0)) {
    notes.push(`Listeners of ${each.function} raised ${count(each.listener_errors)} ${each.listener_errors === 1 ? "error" : "errors"}; the first is in the log.`);
  }
  return notes;
}
