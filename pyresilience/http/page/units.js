// Numbers as people read them: three digits that matter, and a unit. Null and what is no number read "–".

export const NOTHING = "–";
const GAP = "\u202f"; // narrow, and a line never breaks there
const TIMES = [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]];
const SIZES = [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]];
const SHORT = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const minutes = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const moment = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** Whether *value* is a number that can be shown. */
export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** 0.0123, 1.23, 12.3, 123: three digits, and no more than that after the point. */
function digits(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 0.001) return "<0.001";
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.0995 ? 2 : 3);
}

/** Without the zeros that only fill: 2.50 is 2.5, and 3.00 is 3. */
const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

function scaled(value, scales, smallest) {
  const [scale, unit] = scales.find(([each]) => value >= each * 0.9995) ?? smallest;
  return digits(value / scale) + GAP + unit;
}

/** A whole number: exact below 100 000, then 123 k, 1.23 M. */
export function count(value) {
  if (!isNumber(value)) return NOTHING;
  return Math.abs(value) < 99_999.5 ? grouped.format(value) : scaled(value, SHORT);
}

/** A whole number, all of it. */
export const exact = (value) => (isNumber(value) ? grouped.format(value) : NOTHING);

/** So many per second, without the unit: 1,240 or 0.02. */
export function rate(value) {
  if (!isNumber(value)) return NOTHING;
  return value >= 999.5 ? count(value) : digits(value);
}

/** So many per second where there is little room: two digits. */
export const brief = (value) => (isNumber(value) ? tick(Number(value.toPrecision(2))) : NOTHING);

/** A number on an axis: 0.5, 250, 1.5k. */
export function tick(value) {
  if (Math.abs(value) < 1000) return String(Number(value.toPrecision(3)));
  const [scale, unit] = SHORT.find(([each]) => Math.abs(value) >= each);
  return Number((value / scale).toPrecision(3)) + unit;
}

/** A share of 1 as 93.1 %; only all is 100 %, and only nothing is 0 %. */
export function percent(value) {
  if (!isNumber(value)) return NOTHING;
  const hundred = value * 100;
  if (hundred > 99.9 && hundred < 100) return `>99.9${GAP}%`;
  if (hundred < 0.1 && hundred > 0) return `<0.1${GAP}%`;
  return (hundred === 100 || hundred === 0 ? String(hundred) : hundred.toFixed(1)) + GAP + "%";
}

/** Seconds of a latency: 237 ns, 31 µs, 2.5 ms, 1.2 s. */
export function latency(value) {
  if (!isNumber(value)) return NOTHING;
  return value === 0 ? `0${GAP}s` : scaled(value, TIMES, TIMES.at(-1));
}

/** Bytes: 512 B, 1.2 kB, 12.3 MB. */
export function bytes(value) {
  if (!isNumber(value)) return NOTHING;
  return value < 1000 ? grouped.format(value) + GAP + "B" : scaled(value, SIZES);
}

/** A span of seconds in at most two units: 42 s, 3 min 5 s, 2 h 10 min, 1 day. */
export function span(value) {
  if (!isNumber(value)) return NOTHING;
  const whole = Math.max(0, Math.round(value));
  const parts = [[Math.floor(whole / 86400), "d"], [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"], [whole % 60, "s"]];
  const first = parts.findIndex(([number]) => number > 0);
  if (first < 0) return `0${GAP}s`;
  return parts.slice(first, first + 2).filter(([number]) => number).map(([number, unit]) => number + GAP + unit).join(" ");
}

/** How long entries live: as `span`, below a second in milliseconds; 0 lives for ever. */
export function lifetime(value) {
  if (!isNumber(value)) return NOTHING;
  if (value === 0) return "never expires";
  return value < 1 ? trimmed(digits(value * 1000)) + GAP + "ms" : span(value);
}

/** 08:01:22 of a moment in seconds since 1970, in the reader's time zone. */
export const clock = (seconds) => moment.format(seconds * 1000);

/** A moment on an axis whose ticks stand *step* seconds apart. */
export function axisTime(seconds, step) {
  const at = new Date(seconds * 1000);
  if (step < 60) return clock(seconds);
  return step >= 86400 || (at.getHours() === 0 && at.getMinutes() === 0) ? day.format(at) : minutes.format(at);
}

/** A moment as precise as a chart of *range* seconds can tell it. */
export const momentIn = (seconds, range) => (range <= 7200 ? clock(seconds) : axisTime(seconds, 60));
