// Elements, and tables that change in place.

/** An element with attributes (`class`, `on…` handlers, any other) and children. */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

/** Sets a text where it differs, so that an unchanged page is not laid out again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets a class name where it differs. */
export function setClass(node, name) {
  if (node.className !== name) node.className = name;
}

/** Sets a state: its word, and `ok`, `warn`, `bad` or `off`. */
export function setState(node, level, word) {
  setClass(node, `state ${level}`);
  setText(node, word);
}

/** Replaces the children where their text differs. */
export function setChildren(node, signature, make) {
  if (node.dataset.signature === signature) return;
  node.dataset.signature = signature;
  node.replaceChildren(...make());
}

/**
 * A list of terms and values; `update` takes an array of [term, value, class].
 */
export class Facts {
  constructor(className = "facts") {
    this.node = h("dl", { class: className });
    this.rows = [];
  }

  update(facts) {
    facts.forEach(([term, value, name = ""], place) => {
      let row = this.rows[place];
      if (!row) {
        row = [h("dt"), h("dd")];
        this.rows.push(row);
        this.node.append(...row);
      }
      setText(row[0], term);
      setText(row[1], value);
      setClass(row[1], name);
    });
    for (const row of this.rows.splice(facts.length)) row.forEach((node) => node.remove());
  }
}

/**
 * A table with one row for each item, kept by key. A column is {name, title, text(item), number, sort(item), class,
 * state(item), make(item), tip(item)}; `make` gives a node that is made once a row.
 */
export class Table {
  constructor(caption, columns, { key, open = null, empty = "none", sort = null, sortable = true }) {
    Object.assign(this, { columns, key, open, rows: new Map(), items: [], sorted: sort });
    this.body = h("tbody");
    this.heads = columns.map((column) => {
      const button =
        sortable && column.sort
          ? h("button", { type: "button", onclick: () => this.sortBy(column) }, column.title)
          : column.title;
      return h("th", { scope: "col", class: classOf(column), title: column.about }, button);
    });
    const table = h("table", {}, h("caption", {}, caption), h("thead", {}, h("tr", {}, ...this.heads)), this.body);
    this.empty = h("p", { class: "empty" }, empty);
    this.node = h("div", { class: "sheet" }, table, this.empty);
    this.body.addEventListener("keydown", (event) => this.onKey(event));
    this.showSort();
  }

  sortBy(column) {
    const isSame = this.sorted?.name === column.name;
    const descending = isSame ? !this.sorted.descending : Boolean(column.number);
    this.sorted = { name: column.name, descending };
    this.showSort();
    this.update(this.items);
  }

  showSort() {
    this.columns.forEach((column, place) => {
      const head = this.heads[place];
      if (this.sorted?.name !== column.name) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", this.sorted.descending ? "descending" : "ascending");
    });
  }

  ordered(items) {
    const column = this.columns.find((one) => one.name === this.sorted?.name);
    if (!column) return items;
    const sign = this.sorted.descending ? -1 : 1;
    const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    return [...items].sort((a, b) => sign * compare(column.sort(a), column.sort(b)));
  }

  update(items) {
    this.items = items;
    this.empty.hidden = items.length > 0;
    const seen = new Set();
    let before = null;
    for (const item of this.ordered(items)) {
      const key = String(this.key(item));
      seen.add(key);
      let row = this.rows.get(key);
      if (!row) {
        row = this.makeRow(item);
        this.rows.set(key, row);
      }
      row.item = item;
      this.fill(row);
      const place = before ? before.nextSibling : this.body.firstChild;
      if (place !== row.node) this.body.insertBefore(row.node, place);
      before = row.node;
    }
    for (const [key, row] of this.rows) {
      if (seen.has(key)) continue;
      row.node.remove();
      this.rows.delete(key);
    }
    if (!this.body.querySelector('tr[tabindex="0"]')) this.body.firstChild?.setAttribute("tabindex", "0");
  }

  makeRow(item) {
    const row = { item, cells: [] };
    row.node = h("tr", { tabindex: "-1", class: this.open ? "opens" : "" });
    for (const column of this.columns) {
      const cell = h("td", { class: classOf(column) });
      row.cells.push(column.state ? cell.appendChild(h("span", { class: "state" })) : cell);
      if (column.make) cell.append(column.make(item, () => row.item));
      row.node.append(cell);
    }
    if (this.open) {
      row.node.addEventListener("click", (event) => {
        if (!event.target.closest("button, a")) this.open(row.item);
      });
    }
    return row;
  }

  fill(row) {
    this.columns.forEach((column, place) => {
      const cell = row.cells[place];
      if (column.fill) column.fill(cell, row.item);
      else if (column.state) setState(cell, ...column.state(row.item));
      else if (!column.make) setText(cell, column.text(row.item));
      if (column.tip) cell.title = column.tip(row.item);
      if (column.mark) setClass(cell, `${classOf(column)} ${column.mark(row.item)}`);
    });
  }

  /** The item of the row that has the focus. */
  focused() {
    const node = document.activeElement?.closest("tr");
    for (const row of this.rows.values()) if (row.node === node) return row.item;
    return null;
  }

  /** Moves the focus by rows; the first row if none has it. */
  move(step) {
    const rows = [...this.body.children];
    if (rows.length === 0) return;
    const at = rows.indexOf(document.activeElement?.closest("tr"));
    const next = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step))];
    this.body.querySelectorAll('tr[tabindex="0"]').forEach((row) => row.setAttribute("tabindex", "-1"));
    next.setAttribute("tabindex", "0");
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }

  onKey(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -1e6, End: 1e6 };
    const item = this.focused();
    if (event.target.closest("button, a")) return;
    if (event.key in steps) this.move(steps[event.key]);
    else if (event.key === "Enter" && this.open && item) this.open(item);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

function classOf(column) {
  return [column.number ? "number" : "", column.class ?? ""].join(" ").trim();
}
