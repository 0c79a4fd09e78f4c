// What all plots on the page have in common.

import { colour, face } from "./elements.js";
import { axisTime } from "./units.js";

/** The library that draws, which comes as a script of its own. */
export const { uPlot } = globalThis;

const together = uPlot.sync("time");

/** The axis of time. */
export const timeAxis = () => ({
  stroke: () => colour("--muted"),
  font: face(),
  grid: { stroke: () => colour("--grid"), width: 1 },
  ticks: { show: false },
  size: 24,
  gap: 6,
  space: 64,
  values: (_, splits, __, ___, step) => splits.map((each) => axisTime(each, step)),
});

/** One cursor for all plots; dragging does nothing. */
export const cursor = (more) => ({
  y: false,
  drag: { x: false, y: false, setScale: false },
  sync: { key: together.key, scales: ["x", null] },
  ...more,
});

/** Tell a plot how wide its place is whenever that changes. */
export function fit(plot, place) {
  new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width > 0 && width !== plot.width) plot.setSize({ width, height: plot.height });
  }).observe(place);
}
