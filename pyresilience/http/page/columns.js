// The columns of the table: what they are called, what stands in them, and what they are sorted by.

import { stateName, urgency } from "./circuits.js";
import { bytes, count, exact, isNumber, latency, lifetime, percent } from "./units.js";

const OUTCOMES = ["success", "failure", "rejected", "fallback"];

/** Calls of a function, hits and runs alike; null where nothing counts them. */
export function callsOf({ cache, runs }) {
  if (isNumber(cache?.calls)) return cache.calls;
  return runs ? OUTCOMES.reduce((total, each) => total + (runs[each] || 0), 0) : null;
}

/** Whether an outcome is that of more than one run in a hundred. */
const many = (value, { runs }) => value > 0.01 * OUTCOMES.reduce((total, each) => total + (runs[each] || 0), 0);

/** Whether more than one load in a hundred was a reload in vain. */
const often = (value, { cache }) => value > 0.01 * (cache.recalculations || 0);

/** What a run of the function takes: the loads of its cache, and without a cache its runs. */
const load = ({ cache, runs }) => cache?.load_latency ?? runs?.latency;

const named = (causes) => Object.entries(causes ?? {}).filter(([, number]) => number > 0)
  .map(([cause, number]) => `${cause.replaceAll("_", " ")} ${exact(number)}`).join(", ");

/** Those of several remarks that there is a reason for. */
const told = (remarks) => remarks.filter(Boolean).join(", ");

/** A column of numbers.
 *
 * *group* and *label* are its heading, *full* its name where it stands alone, *of* takes its number from a function of
 * the answer, *text* writes the number, *hint* says more about it, *alarming* says which numbers are to be
 * seen at once, *key* ones are those that narrow screens show first, and *rare* ones are only there once a function has
 * a number in them: what comes of options that few use.
 */
const numbers = (id, group, label, full, of, text = count, more = {}) => ({ id, group, label, full, of, text, ...more });

/** All columns, from left to right. */
export const COLUMNS = [
  { id: "function", group: "", label: "Function", full: "function", of: (each) => each.function, words: true },
  {
    id: "circuit", group: "", label: "Circuit", full: "circuit", of: (each) => urgency(each.circuit),
    text: (_, each) => (each.circuit ? stateName(each.circuit.state) : ""), state: true,
  },
  numbers("calls", "", "Calls", "calls", callsOf, count, { key: true }),
  numbers("ratio", "", "Hit ratio", "hit ratio", (each) => each.cache?.hit_ratio, percent, { key: true, share: true }),
  numbers("fresh", "From the cache", "fresh", "fresh hits", (each) => each.cache?.fresh_hits),
  numbers("coalesced", "From the cache", "coalesced", "coalesced hits", (each) => each.cache?.coalesced),
  numbers("served", "From the cache", "stale", "served stale", (each) => each.cache?.stale_served, count, { rare: true }),
  numbers("stale", "Misses", "expired", "stale hits", (each) => each.cache?.stale_hits),
  numbers("waited", "Misses", "waited", "wait timeouts", (each) => each.cache?.wait_timeouts, count, { rare: true }),
  numbers("loads", "Misses", "loads", "recalculations", (each) => each.cache?.recalculations),
  numbers("hit50", "Hit latency", "p50", "hit p50", (each) => each.cache?.hit_latency?.p50, latency),
  numbers("hit99", "Hit latency", "p99", "hit p99", (each) => each.cache?.hit_latency?.p99, latency),
  numbers("load50", "Load latency", "p50", "load p50", (each) => load(each)?.p50, latency),
  numbers("load99", "Load latency", "p99", "load p99", (each) => load(each)?.p99, latency, { key: true }),
  numbers("entries", "Cached", "entries", "entries", (each) => each.cache?.entries,
    (value, { cache }) => (isNumber(cache?.max_entries) ? `${count(value)} / ${count(cache.max_entries)}` : count(value)),
    { key: true, hint: ({ cache }) => told([isNumber(cache?.ttl) && `TTL: ${lifetime(cache.ttl)}`, cache?.reloading > 0 && `${exact(cache.reloading)} reloading`]) }),
  numbers("bytes", "Cached", "size", "size", (each) => each.cache?.bytes, bytes,
    { hint: ({ cache }) => (isNumber(cache?.max_weight) ? `at most ${bytes(cache.max_weight)}` : "") }),
  numbers("heavy", "Cached", "too large", "size limit rejections", (each) => each.cache?.size_limit_rejections, count, { rare: true }),
  numbers("evicted", "Evicted by", "size", "evicted by size", (each) => each.cache?.evictions?.size),
  numbers("expired", "Evicted by", "expiry", "expired", (each) => each.cache?.evictions?.expired),
  numbers("invalidated", "Evicted by", "request", "invalidated", (each) => each.cache?.evictions?.invalidated),
  numbers("success", "Runs by outcome", "success", "success", (each) => each.runs?.success),
  numbers("failure", "Runs by outcome", "failure", "failure", (each) => each.runs?.failure, count, { key: true, alarming: many }),
  numbers("rejected", "Runs by outcome", "rejected", "rejected", (each) => each.runs?.rejected, count,
    { key: true, alarming: many, hint: ({ runs }) => named(runs?.rejections) }),
  numbers("fallback", "Runs by outcome", "fallback", "fallback", (each) => each.runs?.fallback),
  numbers("retries", "Attempts", "retries", "retries", (each) => each.runs?.retries),
  numbers("timeouts", "Attempts", "timeouts", "timeouts", (each) => each.runs?.timeouts),
  numbers("reloads", "Reloads", "failed", "reloads failed", (each) => each.cache?.reload_failures, count,
    { rare: true, alarming: often }),
];

/** Compare two functions by a column: numbers by size, then by calls, names by their letters; what has no value is last. */
export function comparing(column, descending) {
  const sign = descending ? -1 : 1;
  const byName = (one, other) => (one.function < other.function ? -1 : Number(one.function > other.function));
  if (column.words) return (one, other) => sign * byName(one, other);
  return (one, other) => {
    const [left, right] = [column.of(one), column.of(other)];
    const apart = isNumber(left) && isNumber(right) ? sign * (left - right) : isNumber(right) - isNumber(left);
    return apart || (callsOf(other) ?? 0) - (callsOf(one) ?? 0) || byName(one, other);
  };
}
