// A chart of lines, or of areas standing on each other, drawn by uPlot: its legend shows the latest values, or those
// under the cursor, and switches lines off and on.

import { colour, element, face } from "./elements.js";
import { cursor, fit, timeAxis, uPlot } from "./plots.js";
import { momentIn, tick } from "./units.js";

const HEIGHT = 156; // pixels, the axis of time included
const MOST_POINTS = 240;
const HOLE = 8; // seconds of which nothing is known, or
const HOLES = 15; // so many of them across a chart: less does not interrupt the line

/** A chart in a card of the page.
 *
 * *what* says what it shows: see series.js.
 */
export class Chart {
  constructor(card, what) {
    this.what = what;
    this.card = card;
    this.hidden = new Set();
    this.raw = what.lines.map(() => []);
    this.at = card.appendChild(element("time", "at"));
    this.items = [];
    this.values = this.makeLegend();
    this.place = card.appendChild(element("div", "plot"));
    this.place.setAttribute("role", "img");
    this.nothing = this.place.appendChild(element("p", "nothing", what.nothing));
    this.plot = new uPlot(this.options(), [[], ...this.raw], this.place);
    fit(this.plot, this.place);
  }

  makeLegend() {
    const list = this.card.appendChild(element("ul", "legend"));
    return this.what.lines.map((line, index) => {
      const item = list.appendChild(element("li"));
      this.items.push(item);
      const button = item.appendChild(element("button"));
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      button.title = `Show or hide ${line.label}`;
      const swatch = button.appendChild(element("span", "swatch"));
      swatch.dataset.colour = line.colour.slice(2);
      swatch.dataset.dashed = Boolean(line.dash);
      button.append(element("span", "", line.label), " ");
      const value = button.appendChild(element("b", "", "–"));
      if (this.what.lines.length > 1) button.addEventListener("click", () => this.toggle(index, button));
      else button.disabled = true;
      return value;
    });
  }

  options() {
    const { stacked, fixed, lines } = this.what;
    return {
      width: Math.max(200, this.place.clientWidth),
      height: HEIGHT,
      legend: { show: false },
      cursor: cursor({ points: { size: 6 } }),
      padding: [8, 28, 0, 0],
      scales: {
        x: { time: true, range: () => this.range ?? [0, 1] },
        y: { range: (_, __, most) => fixed ?? [0, most > 0 ? most * 1.08 : 1] },
      },
      axes: [timeAxis(), {
        stroke: () => colour("--muted"),
        font: face(),
        grid: { stroke: () => colour("--grid"), width: 1 },
        ticks: { show: false },
        size: 46,
        gap: 6,
        space: 26,
        values: (_, splits) => splits.map((each) => (fixed ? `${Math.round(each * 100)} %` : `${tick(each)}/s`)),
      }],
      series: [{}, ...lines.map((line) => ({
        label: line.label,
        stroke: () => colour(line.colour),
        fill: stacked ? () => colour(`${line.colour}-fill`) : undefined,
        width: 1.5,
        dash: line.dash,
        points: { show: false },
        spanGaps: false,
      }))],
      hooks: { setCursor: [() => this.label()] },
    };
  }

  /** Show the *bins* between two moments. */
  draw(timeline, from, to) {
    this.range = [from, to];
    const bins = timeline.since(from, (to - from) / MOST_POINTS);
    this.times = [];
    this.raw = this.what.lines.map(() => []);
    const hole = Math.max(HOLE, (to - from) / HOLES);
    for (const [index, bin] of bins.entries()) {
      const before = bins[index - 1];
      if (before && bin.start - before.end > hole) this.point((before.end + bin.start) / 2, () => null);
      if (!before) this.point(Math.max(from, bin.start), (line) => line.of(bin));
      this.point((Math.max(from, bin.start) + bin.end) / 2, (line) => line.of(bin));
      if (index === bins.length - 1) this.point(bin.end, (line) => line.of(bin));
    }
    this.show();
  }

  point(time, value) {
    this.times.push(time);
    this.what.lines.forEach((line, index) => this.raw[index].push(value(line)));
  }

  show() {
    this.plot.setData([this.times ?? [], ...(this.what.stacked ? this.stack() : this.raw)]);
    const known = this.raw.some((line) => line.some((value) => (this.what.fixed ? value !== null : value > 0)));
    this.nothing.hidden = known;
    this.what.lines.forEach((line, index) => { this.items[index].hidden = Boolean(line.rare) && !this.raw[index].some((value) => value > 0); });
    this.label();
  }

  /** Each line on top of those that stand below it. */
  stack() {
    const base = (this.times ?? []).map(() => 0);
    const rows = this.raw.map((line, index) => ({ line, index })).reverse();
    return rows.map(({ line, index }) => line.map((value, at) => {
      if (value === null) return null;
      if (!this.hidden.has(index)) base[at] += value;
      return base[at];
    })).reverse();
  }

  toggle(index, button) {
    const hide = !this.hidden.delete(index);
    if (hide) this.hidden.add(index);
    button.setAttribute("aria-pressed", String(!hide));
    this.plot.setSeries(index + 1, { show: !hide });
    this.show();
  }

  /** Write the values under the cursor into the legend, or the latest ones. */
  label() {
    const under = this.plot?.cursor.idx;
    const at = under ?? (this.times?.length ?? 0) - 1;
    const texts = this.raw.map((line) => this.what.text(line[at]));
    texts.forEach((text, index) => { this.values[index].textContent = text; });
    const [from, to] = this.range ?? [0, 0];
    this.at.textContent = under == null ? "" : momentIn(this.times[under], to - from);
    if (under == null) {
      const spoken = this.what.lines.map((line, index) => `${line.label} ${texts[index]}`).filter((_, index) => !this.items[index].hidden).join(", ");
      this.place.setAttribute("aria-label", `Chart over time; at the end: ${spoken}`);
    }
  }
}
