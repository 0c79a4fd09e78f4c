// The states of circuits over time: one lane per function. Closed is a thin line, half-open a hatched half-height bar,
// open a full-height one, so that the states differ by more than their colours.

import { colour, element, functionName } from "./elements.js";
import { cursor, fit, timeAxis, uPlot } from "./plots.js";
import { momentIn, span } from "./units.js";

const LANE = 22; // pixels
const FEW = 6; // lanes that are shown unless all are asked for
const AXIS = 24;
const STATES = { open: "open", half_open: "half-open", closed: "closed" };
const ORDER = ["open", "half_open", "closed"];

/** A state as people write it. */
export const stateName = (state) => STATES[state] ?? String(state);

/** How much a circuit needs looking at: 2 if it is open, 1 if half-open, 0 if closed or not there. */
export const urgency = (circuit) => ({ open: 2, half_open: 1 })[circuit?.state] ?? 0;

const since = (circuit) => circuit.history?.at(-1)?.[0] ?? -Infinity;

/** The functions that have a circuit: first those that need looking at, then those that changed last. */
export function lanesOf(functions) {
  return functions.filter((each) => each.circuit).sort((one, other) =>
    urgency(other.circuit) - urgency(one.circuit)
    || since(other.circuit) - since(one.circuit) || 0
    || (one.function < other.function ? -1 : 1));
}

/** When the circuit was in which state: [{state, start, end}, …]. A breaker begins closed. */
export function spans(circuit, from, to) {
  const history = circuit.history ?? [];
  const first = history.length ? (history[0][1] === "open" ? "closed" : null) : circuit.state;
  const changes = [[-Infinity, first], ...history];
  return changes
    .map(([start, state], index) => ({ state, start: Math.max(start, from), end: Math.min(changes[index + 1]?.[0] ?? to, to) }))
    .filter((each) => each.state && each.end > each.start);
}

/** How many circuits are in each state: {open, half_open, closed}. */
export function tally(functions) {
  const counts = { open: 0, half_open: 0, closed: 0 };
  for (const { circuit } of functions) if (circuit) counts[circuit.state] = (counts[circuit.state] ?? 0) + 1;
  return counts;
}

/** The card of circuits. */
export class Circuits {
  constructor(card) {
    this.all = false;
    this.lanes = [];
    this.range = [0, 1];
    this.at = card.appendChild(element("time", "at"));
    const legend = card.appendChild(element("ul", "legend states"));
    this.counts = Object.fromEntries(ORDER.map((state) => {
      const item = legend.appendChild(element("li"));
      item.append(element("span", `glyph ${state}`), element("span", "", stateName(state)), " ");
      return [state, item.appendChild(element("b", "", "–"))];
    }));
    this.place = card.appendChild(element("div", "plot lanes"));
    this.place.setAttribute("role", "group");
    this.place.setAttribute("aria-label", "Circuits, the open ones first");
    this.names = this.place.appendChild(element("ol", "names"));
    this.nothing = this.place.appendChild(element("p", "nothing", "No function has a circuit breaker"));
    this.more = legend.appendChild(element("li", "all")).appendChild(element("button"));
    this.more.type = "button";
    this.more.addEventListener("click", () => {
      this.all = !this.all;
      this.arrange();
    });
    this.plot = new uPlot(this.options(), [[], []], this.place);
    fit(this.plot, this.place);
  }

  get gutter() {
    return Math.round(Math.min(220, this.place.clientWidth * 0.36));
  }

  options() {
    return {
      width: Math.max(200, this.place.clientWidth),
      height: FEW * LANE + AXIS,
      legend: { show: false },
      cursor: cursor({ points: { show: false } }),
      padding: [0, 28, 0, 0],
      scales: { x: { time: true, range: () => this.range }, y: { range: () => [0, 1] } },
      axes: [timeAxis(), { size: () => this.gutter, grid: { show: false }, ticks: { show: false }, values: () => [] }],
      series: [{}, { show: true, paths: () => null, points: { show: false } }],
      hooks: { draw: [() => this.paint()], setCursor: [() => this.label()], setSize: [() => this.indent()] },
    };
  }

  /** Show the circuits of *functions* between two moments. */
  draw(functions, from, to) {
    this.range = [from, to];
    this.lanes = lanesOf(functions);
    const counts = tally(functions);
    for (const state of ORDER) this.counts[state].textContent = this.lanes.length ? String(counts[state]) : "–";
    this.nothing.hidden = this.lanes.length > 0;
    this.arrange();
  }

  get shown() {
    return this.all ? this.lanes : this.lanes.slice(0, FEW);
  }

  arrange() {
    const hidden = this.lanes.length - FEW;
    this.more.hidden = hidden <= 0;
    this.more.textContent = this.all ? `Show ${FEW}` : `Show ${hidden} more`;
    this.more.setAttribute("aria-expanded", String(this.all));
    const height = Math.max(FEW, this.shown.length) * LANE + AXIS;
    if (height !== this.plot.height) this.plot.setSize({ width: this.plot.width, height });
    this.plot.setData([this.range, [null, null]]);
    this.indent();
    this.label();
  }

  indent() {
    this.names.style.width = `${this.gutter}px`;
  }

  paint() {
    const { ctx, bbox } = this.plot;
    const ratio = uPlot.pxRatio;
    ctx.save();
    for (const [index, lane] of this.shown.entries()) {
      const middle = bbox.top + (index + 0.5) * LANE * ratio;
      ctx.strokeStyle = colour("--grid");
      ctx.lineWidth = ratio;
      ctx.strokeRect(bbox.left, middle + (LANE / 2) * ratio, bbox.width, 0);
      for (const each of spans(lane.circuit, ...this.range)) {
        const left = Math.max(bbox.left, this.plot.valToPos(each.start, "x", true));
        const right = this.plot.valToPos(each.end, "x", true);
        this.bar(each.state, left, middle, Math.max(right - left, 2 * ratio), ratio);
      }
    }
    ctx.restore();
  }

  bar(state, left, middle, width, ratio) {
    const { ctx } = this.plot;
    const height = { open: 16, half_open: 10, closed: 3 }[state] * ratio;
    ctx.fillStyle = colour({ open: "--failure", half_open: "--rejected-fill", closed: "--closed" }[state]);
    ctx.fillRect(left, middle - height / 2, width, height);
    if (state !== "half_open") return;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, middle - height / 2, width, height);
    ctx.clip();
    ctx.strokeStyle = colour("--rejected");
    ctx.lineWidth = 1.5 * ratio;
    ctx.beginPath();
    for (let x = left - height; x < left + width; x += 5 * ratio) {
      ctx.moveTo(x, middle + height / 2);
      ctx.lineTo(x + height, middle - height / 2);
    }
    ctx.stroke();
    ctx.lineWidth = 2 * ratio;
    ctx.strokeRect(left, middle - height / 2, width, height);
    ctx.restore();
  }

  /** Write the names of the lanes, with the states under the cursor, or with those of now. */
  label() {
    const under = this.plot?.cursor.left >= 0 ? this.plot.posToVal(this.plot.cursor.left, "x") : null;
    const [from, to] = this.range;
    this.at.textContent = under === null ? "" : momentIn(under, to - from);
    const shown = this.shown.map((lane) => {
      const state = under === null ? lane.circuit.state
        : spans(lane.circuit, from, to).find((each) => each.start <= under && under <= each.end)?.state;
      const changed = since(lane.circuit);
      return { name: lane.function, state, said: Number.isFinite(changed) ? ` for ${span(to - changed)}` : "" };
    });
    while (this.names.children.length > shown.length) this.names.lastChild.remove();
    shown.forEach(({ name, state, said }, index) => {
      let item = this.names.children[index];
      if (item?.dataset.name !== name) {
        const fresh = element("li");
        fresh.dataset.name = name;
        fresh.append(element("span", "glyph"), functionName(name), element("span", "unseen"));
        if (item) item.replaceWith(fresh);
        else this.names.append(fresh);
        item = fresh;
      }
      item.firstChild.className = `glyph ${state ?? ""}`;
      item.lastChild.textContent = `: ${stateName(state ?? "unknown")}${under === null ? said : ""}`;
    });
  }
}
