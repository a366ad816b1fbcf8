// Elements and words. What comes from elsewhere is set as text, never as HTML: the
// page's policy lets no string become HTML (trusted types).

const svgSpace = "http://www.w3.org/2000/svg";

// el makes an element: attributes that begin with "on" are listeners, "text" is its
// text, and null ones are left out. Children that are strings are text.
export function el(tag, attributes = {}, ...children) {
  const node = ["svg", "polyline", "line", "title"].includes(tag) ? document.createElementNS(svgSpace, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "text") node.textContent = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

// setText sets a text that differs: what is the same stays selected.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const mostText = 600;

// shown is a text of strangers as it may stand between others: what cannot be seen, or
// would turn the order of what follows, stands there by its number; it ends after 600
// characters.
export function shown(text) {
  const all = [...String(text ?? "")];
  const cut = all.length > mostText ? all.slice(0, mostText).join("") + `… (${all.length} characters)` : all.join("");
  return cut.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

export function number(n) {
  return n === null || n === undefined ? "–" : Math.round(n).toLocaleString("en");
}

// rate is events a second. null is one that is not known yet.
export function rate(n) {
  if (n === null || n === undefined) return "–";
  if (n === 0) return "0";
  return n < 10 ? n.toFixed(n < 0.1 ? 2 : 1) : Math.round(n).toLocaleString("en");
}

// span is a length of time, from seconds.
export function span(s) {
  if (s === null || s === undefined || Number.isNaN(s)) return "–";
  if (s < 0.001) return "<1 ms";
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 10) return `${Number(s.toFixed(1))} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}

export function bytes(n) {
  return n === undefined ? "–" : `${Math.round(n / (1 << 20))} MiB`;
}

// time is one of the registry's times, in UTC, to the second.
export function time(text) {
  if (!text) return "–";
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? shown(text) : at.toISOString().replace("T", " ").replace(/\.\d+Z$/, "Z");
}

export function ago(text) {
  const at = new Date(text).getTime();
  return Number.isNaN(at) ? "–" : `${span(Math.max(0, (Date.now() - at) / 1000))} ago`;
}

// path is a place in the page.
export function path(...parts) {
  return "#/" + parts.map(encodeURIComponent).join("/");
}

export function tenantLink(tenant) {
  return tenant ? el("a", { href: path("tenant", tenant), class: "id", text: shown(tenant) }) : el("span", { class: "muted", text: "–" });
}

export function panel(title, note, ...children) {
  return el("section", { class: "panel" }, el("h2", {}, title, note ? el("span", { class: "note" }, note) : null), ...children);
}

export function empty(...text) {
  return el("p", { class: "empty" }, ...text);
}

export function fault(text) {
  return el("p", { class: "notice fault", role: "alert", text: shown(text) });
}

// Table keeps its rows by their keys, so that what is focused or selected
// stays when the numbers change. A column is {title, class}; a row is {key, class,
// cells}; a cell is a text or a node, which stands as long as its key is the same.
export class Table {
  constructor(caption, columns) {
    this.columns = columns;
    this.rows = new Map();
    this.body = el("tbody");
    this.node = el("div", { class: "scroll" }, el("table", { "aria-label": caption },
      el("thead", {}, el("tr", {}, ...columns.map((c) => el("th", { scope: "col", class: c.class, text: c.title })))), this.body));
  }

  update(rows) {
    const before = this.rows;
    this.rows = new Map();
    let at = this.body.firstChild;
    for (const row of rows) {
      const node = before.get(row.key) ?? el("tr", {}, ...this.columns.map((c) => el("td", { class: c.class })));
      before.delete(row.key);
      this.rows.set(row.key, node);
      if (node.className !== (row.class ?? "")) node.className = row.class ?? "";
      row.cells.forEach((cell, i) => this.#put(node.children[i], cell));
      if (node === at) at = at.nextSibling;
      else this.body.insertBefore(node, at);
    }
    for (const gone of before.values()) gone.remove();
    return this;
  }

  #put(td, cell) {
    if (!(cell instanceof Node)) {
      setText(td, String(cell));
    } else if (td.childNodes.length !== 1 || !td.firstChild.isEqualNode(cell)) {
      td.replaceChildren(cell);
    }
  }
}
