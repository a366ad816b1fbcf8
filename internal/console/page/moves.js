// Moves of whole tenants: all, or one tenant's.

import { Table, ago, el, empty, fault, number, panel, path, shown, tenantLink, time } from "./dom.js";
import { get } from "./api.js";

// progressOf says how far the documents have followed a move.
export function progressOf(r) {
  const words = (text, kind) => el("span", { class: kind ?? null, text });
  if (r.parked_at) return words(`parked ${ago(r.parked_at)} after ${number(r.tries)} tries: ${shown(r.failure)} — registry-worker moves resume`, "bad");
  if (r.state === "done") return words(r.finished_at ? `done, ${number(r.written)} written` : "nothing to do");
  if (!r.started_at) return words(r.tries ? `failed ${number(r.tries)} times: ${shown(r.failure)}` : "queued", r.tries ? "warn" : null);
  const pass = r.last_pass ? "last pass" : "first pass";
  const node = el("span", {});
  if (r.documents > 0) node.append(el("progress", { max: r.documents, value: Math.min(r.passed, r.documents), "aria-label": pass }));
  node.append(`${pass}: ${number(r.passed)} of ${r.documents ? number(r.documents) : "?"}`);
  if (r.documents > 0) node.append(` (${Math.min(100, Math.floor(100 * r.passed / r.documents))} %)`);
  node.append(`, ${number(r.written)} written`);
  if (r.tries) node.append(el("span", { class: "warn", text: `; failed ${number(r.tries)} times: ${shown(r.failure)}` }));
  return node;
}

function stateOf(m) {
  if (m.unread) return el("span", { class: "bad", text: `not understood: ${shown(m.unread)}` });
  if (!m.retracted) return "counts";
  const said = m.retractions?.[0] ?? {};
  return `retracted ${time(said.at)}${said.by ? ` by ${shown(said.by)}` : ""}${said.reason ? `: ${shown(said.reason)}` : ""}`;
}

// movesTable has a row for each, the first first.
export function movesTable(moves, caption) {
  const table = new Table(caption, [{ title: "time", class: "time" }, { title: "from → to", class: "text plain" }, { title: "state", class: "text plain" },
    { title: "rewriting", class: "text plain" }, { title: "event", class: "text plain" }, { title: "who and why", class: "text plain" }]);
  return table.update(moves.map((m) => ({
    key: `${m.source} ${m.id}`, class: m.retracted ? "void" : "",
    cells: [time(m.time), el("span", {}, tenantLink(m.from), " → ", tenantLink(m.to)), stateOf(m), progressOf(m.rewriting),
      el("a", { href: path("moves", m.source, m.id), class: "id", text: shown(m.id) }), whoAndWhy(m)],
  }))).node;
}

export function whoAndWhy(x) {
  return [x.actor, x.reason].filter(Boolean).map(shown).join(": ") || "–";
}

const none = () => empty("No move of a whole tenant. ", el("code", { text: "registry-worker moves plan --from TENANT --to TENANT" }), " says what one would do.");

// moves shows those that changed last, or the one that is named.
export async function moves(signal, source, id) {
  if (id !== undefined) {
    const { moves: named } = await get(["moves", source, id], signal);
    const back = el("p", {}, el("a", { href: "#/moves", text: "All moves" }));
    return el("div", { class: "stack" }, ...(named.length ? named.map(one) : [panel("Move", shown(id), empty("There is no such move."))]), back);
  }
  const found = await get(["moves"], signal);
  const note = `ledger position ${number(found.position)}, as of ${time(found.read_time)}${found.more ? "; those of the last 50 changes: registry-worker moves list --limit 0 has all" : ""}`;
  return panel("Moves", note, found.moves.length ? movesTable(found.moves, "Moves, the last change first") : none());
}

function one(m) {
  const facts = el("dl");
  const fact = (name, value) => facts.append(el("dt", { text: name }), el("dd", {}, value));
  fact("from → to", el("span", {}, tenantLink(m.from), " → ", tenantLink(m.to)));
  fact("time", time(m.time));
  fact("state", stateOf(m));
  fact("rewriting", progressOf(m.rewriting));
  fact("who and why", whoAndWhy(m));
  fact("event", el("span", { class: "id", text: `${shown(m.id)} of ${shown(m.source)}` }));
  fact("ledger", `position ${number(m.position)}, changed ${time(m.changed_at)}`);
  for (const said of m.retractions ?? []) fact("retracted", `${time(said.at)} by ${shown(said.by || "an operator who gave no name")}${said.reason ? `: ${shown(said.reason)}` : ""}`);
  for (const d of m.displaced ?? []) fact("displaced", `${shown(d.from)} → ${shown(d.to)}, ${time(d.time)}: does not count`);
  const rest = m.retracted ? null : el("p", { class: "muted" }, "To take it back: ", el("code", { text: `registry-worker moves retract ${/^[A-Za-z0-9._~:@+=-]+$/.test(m.id) ? m.id : "ID"}` }));
  return panel("Move", shown(m.id), facts, rest);
}

// failed says why a look has found nothing.
export function failed(title, e) {
  return panel(title, null, fault(e.message));
}
