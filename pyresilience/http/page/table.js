// The table of functions: sorted by any column, filtered by name, and on narrow screens one card per function.

import { COLUMNS, comparing } from "./columns.js";
import { byId, element, functionName, write } from "./elements.js";
import { isNumber, NOTHING } from "./units.js";

/** One function's row. Its cells stay the same elements for as long as the function is there. */
class Row {
  constructor(name) {
    this.element = element("tr");
    this.element.setAttribute("role", "row");
    this.cells = COLUMNS.map((column) => this.cell(column, name));
  }

  cell(column, name) {
    const cell = this.element.appendChild(element(column.words ? "th" : "td", column.key ? "key" : ""));
    cell.setAttribute("role", column.words ? "rowheader" : "cell");
    if (!column.words) {
      cell.dataset.label = column.full;
      return cell;
    }
    cell.scope = "row";
    cell.setAttribute("aria-label", name);
    const more = element("button", "unfold");
    more.type = "button";
    more.setAttribute("aria-expanded", "false");
    more.setAttribute("aria-label", name);
    more.append(functionName(name));
    more.addEventListener("click", () => {
      more.setAttribute("aria-expanded", String(this.element.classList.toggle("unfolded")));
    });
    cell.append(functionName(name), more);
    return cell;
  }

  update(figures, absent) {
    const open = figures.circuit?.state === "open";
    this.element.classList.toggle("open", open);
    COLUMNS.forEach((column, index) => {
      if (!column.words) this.fill(this.cells[index], column, figures);
      this.cells[index].hidden = absent.has(column);
    });
  }

  fill(cell, column, figures) {
    const value = column.of(figures);
    if (column.state) {
      cell.dataset.state = figures.circuit?.state ?? "none";
      write(cell, column.text(value, figures) || NOTHING);
      return;
    }
    write(cell, isNumber(value) ? column.text(value, figures) : NOTHING);
    cell.dataset.value = !isNumber(value) ? "none" : value === 0 ? "zero" : column.alarming?.(value, figures) ? "alarming" : "some";
    if (column.share) cell.style.setProperty("--share", isNumber(value) ? `${value * 100}%` : "0%");
    const hint = column.hint?.(figures) ?? "";
    if (cell.title !== hint) cell.title = hint;
  }
}

/** The table, its filter, and the controls that sort it where it has no headings. */
export class Table {
  constructor({ changed }) {
    this.rows = new Map();
    this.functions = [];
    this.absent = new Set(COLUMNS.filter((each) => each.rare));
    this.changed = changed;
    this.column = COLUMNS.find((each) => each.id === "circuit");
    this.descending = true;
    this.table = byId("table");
    this.scroller = byId("scroller");
    new ResizeObserver(() => this.settle()).observe(this.scroller);
    this.filter = byId("filter");
    this.select = byId("sorting");
    this.groups = [];
    this.heads = this.makeHead();
    this.fold();
    this.body = this.table.appendChild(element("tbody"));
    this.body.setAttribute("role", "rowgroup");
    this.select.append(...COLUMNS.map((column) => new Option(`sort by ${column.full}`, column.id)));
    this.select.addEventListener("change", () => this.sort(this.select.value));
    byId("direction").addEventListener("click", () => this.sort(this.column.id, !this.descending));
    this.filter.addEventListener("input", () => {
      this.arrange();
      this.changed();
    });
  }

  makeHead() {
    const head = this.table.appendChild(element("thead"));
    head.setAttribute("role", "rowgroup");
    const groups = head.appendChild(element("tr", "groups"));
    const labels = head.appendChild(element("tr", "labels"));
    groups.setAttribute("role", "row");
    labels.setAttribute("role", "row");
    let group = null;
    return COLUMNS.map((column) => {
      const starts = !column.group || group.textContent !== column.group;
      if (starts) {
        group = groups.appendChild(element(column.group ? "th" : "td", column.group ? "group" : "", column.group));
        group.setAttribute("role", column.group ? "columnheader" : "cell");
        this.groups.push({ head: group, columns: [] });
      }
      this.groups.at(-1).columns.push(column);
      const label = labels.appendChild(element("th", `${column.words ? "words" : ""}${starts && column.group ? " begin" : ""}`));
      label.scope = "col";
      label.setAttribute("role", "columnheader");
      const button = label.appendChild(element("button", "", column.label));
      button.type = "button";
      button.title = `Sort by ${column.full}`;
      if (column.label !== column.full) button.setAttribute("aria-label", column.full);
      button.addEventListener("click", () => this.sort(column.id));
      return label;
    });
  }

  /** Leave out the columns that are absent, and the headings of those groups that have none. */
  fold() {
    COLUMNS.forEach((column, index) => { this.heads[index].hidden = this.absent.has(column); });
    for (const { head, columns } of this.groups) {
      const present = columns.filter((each) => !this.absent.has(each)).length;
      head.hidden = present === 0;
      head.colSpan = present || 1;
    }
  }

  /** Sort by a column; by the one that it is sorted by already: the other way round. */
  sort(id, descending) {
    const column = COLUMNS.find((each) => each.id === id) ?? this.column;
    this.descending = descending ?? (column === this.column ? !this.descending : !column.words);
    this.column = column;
    this.arrange();
    this.changed();
  }

  /** Show the figures of *functions*. */
  draw(functions) {
    this.functions = functions;
    const wanted = [...this.absent].filter((column) => functions.some((each) => column.of(each) > 0));
    for (const column of wanted) this.absent.delete(column); // and it stays, so that the table does not flicker
    if (wanted.length) this.fold();
    const present = new Set(functions.map((each) => each.function));
    for (const [name, row] of this.rows) {
      if (present.has(name)) continue;
      row.element.remove();
      this.rows.delete(name);
    }
    for (const figures of functions) {
      if (!this.rows.has(figures.function)) this.rows.set(figures.function, new Row(figures.function));
      this.rows.get(figures.function).update(figures, this.absent);
    }
    this.arrange();
    this.settle();
  }

  /** Find out whether all columns fit beside names that are cut short. */
  settle() {
    const { classList } = this.scroller.parentElement;
    classList.add("fits");
    classList.toggle("fits", this.table.offsetWidth <= this.scroller.clientWidth);
  }

  arrange() {
    const wanted = this.filter.value.trim().toLowerCase();
    const shown = this.functions.filter((each) => each.function.toLowerCase().includes(wanted));
    shown.sort(comparing(this.column, this.descending));
    this.place(shown.map((each) => this.rows.get(each.function).element));
    this.mark();
    write(byId("count"), wanted ? `${shown.length} of ${this.functions.length}` : String(this.functions.length || ""));
    const none = byId("none");
    none.hidden = shown.length > 0 || this.functions.length === 0;
    write(none, `No function has “${this.filter.value.trim()}” in its name`);
  }

  /** Put the rows in this order, moving none that stands where it should: focus and selection stay. */
  place(rows) {
    const wanted = new Set(rows);
    for (const each of [...this.body.children]) if (!wanted.has(each)) each.remove();
    rows.forEach((row, index) => {
      if (this.body.children[index] !== row) this.body.insertBefore(row, this.body.children[index] ?? null);
    });
  }

  mark() {
    const order = this.descending ? "descending" : "ascending";
    COLUMNS.forEach((column, index) => {
      if (column === this.column) this.heads[index].setAttribute("aria-sort", order);
      else this.heads[index].removeAttribute("aria-sort");
    });
    this.select.value = this.column.id;
    byId("direction").dataset.order = order;
    byId("direction").setAttribute("aria-label", `Sorted ${order}; reverse the order`);
  }
}
