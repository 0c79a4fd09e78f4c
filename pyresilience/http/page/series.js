// What the charts of lines show: from the counts of a bin to numbers, with names, colours and units.

import { isNumber, NOTHING, percent, rate } from "./units.js";

const perSecond = (name) => (bin) => bin.counts[name] / (bin.end - bin.start);

/** The share of cached calls that were hits, 0 to 1; null without calls. */
export function hitRatio({ hits, misses }) {
  return hits + misses > 0 ? hits / (hits + misses) : null;
}

/** The share of cached calls that were answered with an expired entry, 0 to 1; null without calls. */
export function staleRatio({ hits, misses, stale_served: served }) {
  return hits + misses > 0 ? served / (hits + misses) : null;
}

const rateText = (value) => (isNumber(value) ? `${rate(value)}/s` : NOTHING);

/** One line: its name in a sentence, its colour (a CSS property), its value in a bin, and how it is dashed.
 *
 * A *rare* one stands in the legend only if there is something to be seen of it.
 */
const line = (label, colour, of, dash) => ({ label, colour, of, dash });
const rare = (...its) => ({ ...line(...its), rare: true });

export const RATIO = {
  text: percent,
  fixed: [0, 1],
  stacked: true,
  lines: [
    rare("served stale", "--stale", (bin) => staleRatio(bin.counts)),
    line("hits", "--hit", (bin) => hitRatio(bin.counts)),
  ],
  nothing: "No cached call in this time",
};

// From the top of the stack to its foot: what fails stands on the ground, where little is seen as well.
export const CALLS = {
  text: rateText,
  stacked: true,
  lines: [
    rare("stale", "--stale", perSecond("stale_served")),
    line("hit", "--hit", perSecond("hits")),
    line("success", "--success", perSecond("success")),
    line("fallback", "--fallback", perSecond("fallback")),
    line("rejected", "--rejected", perSecond("rejected")),
    line("failure", "--failure", perSecond("failure")),
  ],
  nothing: "No call in this time",
};

export const WAITS = {
  text: rateText,
  lines: [
    line("retries", "--rejected", perSecond("retries")),
    line("coalesced waits", "--hit", perSecond("coalesced"), [6, 3]),
    line("wait timeouts", "--fallback", perSecond("wait_timeouts"), [2, 2]),
    line("timeouts", "--failure", perSecond("timeouts"), [8, 3, 2, 3]),
  ],
  nothing: "No retry and no wait in this time",
};
