// Answers to what is looked for: a resource, a tenant, dead letters.

import { Table, ago, el, empty, fault, number, panel, path, shown, span, tenantLink, time } from "./dom.js";
import { get } from "./api.js";
import { movesTable, whoAndWhy } from "./moves.js";

const tenantPattern = /^t_[a-z0-9_-]{1,126}$/;

// placeOf is where a query leads.
export function placeOf(query) {
  const text = query.trim();
  const [, kind, id] = text.match(/^(thread|canvas|tenant)[\s/:]+(\S+)$/) ?? [];
  if (kind) return path(kind, id);
  if (!text) return "#/";
  return tenantPattern.test(text) ? path("tenant", text) : path("id", text);
}

// resource shows who owns it, and why, step by step.
export async function resource(signal, kind, id) {
  const found = await get(["resources", kind, id], signal);
  const title = `${kind} ${shown(id)}`;
  if (found.deleted_at) {
    return panel(title, null, el("p", { class: "owner", text: "deleted" }),
      empty(`Deleted at ${time(found.deleted_at)}. Nothing brings it back as long as its tombstone is kept.`));
  }
  if (!found.owner) {
    return panel(title, null, el("p", { class: "owner", text: "no owner" }),
      empty("Nobody has registered it. It may be spelt otherwise, its event may not have come yet, or may wait among the ",
        el("a", { href: "#/dead-letters", text: "dead letters" }), "."));
  }
  const parts = [el("p", { class: "owner" }, tenantLink(found.owner)), steps(found.steps, "Why, step by step")];
  if (found.displaced?.length) {
    parts.push(el("h3", { text: "displaced: acknowledged once, and does not count" }), steps(found.displaced, "Displaced"));
  }
  parts.push(el("h3", { text: "what direct readers see" }), documentOf(found.document));
  return panel(title, `as of ${time(found.read_time)}, ledger position ${number(found.position)}`, ...parts);
}

function steps(all, caption) {
  const table = new Table(caption, [{ title: "", class: "number" }, { title: "time", class: "time" }, { title: "event", class: "text plain" }, { title: "says", class: "text" },
    { title: "owner then", class: "text plain" }, { title: "id", class: "text plain" }, { title: "source", class: "text plain" }, { title: "who and why", class: "text plain" }]);
  return table.update(all.map((s, i) => ({
    key: String(i), class: s.effect ? "" : "void",
    cells: [String(i + 1), time(s.time), s.event + (s.effect ? "" : ", no effect"), s.tenant ? tenantLink(s.tenant) : el("span", {}, tenantLink(s.from), " → ", tenantLink(s.to)),
      s.owner ? tenantLink(s.owner) : "–", el("span", { class: "id", text: shown(s.event_id || "–") }), shown(s.source || "–"), whoAndWhy(s)],
  }))).node;
}

function documentOf(d) {
  if (!d) return empty("No document.");
  const notes = [d.stale ? "not the owner yet: a rewriting brings it there" : "the owner", d.plain_set_last ? "written last from outside (a plain set)" : null];
  return el("p", {}, "tenant_id ", tenantLink(d.tenant_id), `: ${notes.filter(Boolean).join("; ")}; written ${time(d.update_time)}`);
}

// either shows what has this id: a thread, a canvas, both or none.
export async function either(signal, id) {
  const [thread, canvas] = await Promise.all(["thread", "canvas"].map((kind) => resource(signal, kind, id)));
  return el("div", { class: "stack" }, thread, canvas);
}

// tenant shows its moves and its windows.
export async function tenant(signal, name) {
  const found = await get(["tenants", name], signal);
  const moves = found.moves_error ? fault(found.moves_error) : found.moves.moves.length === 0 ? empty("Nothing of this tenant was moved as a whole, to it or from it.") :
    movesTable(found.moves.moves, "Moves of this tenant, the last change first");
  const windows = found.windows_error ? fault(found.windows_error) : found.windows.windows.length === 0 ? empty("It has no window: it has not asked the throttle lately.") :
    windowsTable(found.windows.windows);
  const asId = el("p", { class: "muted" }, "An id of this spelling: ", el("a", { href: path("id", name), text: "look for a thread or canvas" }));
  return el("div", { class: "stack" },
    panel(`Tenant ${shown(name)}`, found.moves?.more ? "the last 50 moves that changed" : "moves", moves),
    panel("Throttle windows", "as the next request would find them", windows), asId);
}

function windowsTable(windows) {
  const table = new Table("Throttle windows", [{ title: "action", class: "text" }, { title: "reserved", class: "text" }, { title: "ends in", class: "number" },
    { title: "window", class: "number" }, { title: "policy", class: "text" }, { title: "last reset by an operator", class: "text" }]);
  return table.update(windows.map((w) => ({
    key: w.action,
    cells: [el("span", { class: "id", text: shown(w.action) }),
      el("span", {}, el("progress", { max: Math.max(w.limit, 1), value: Math.min(w.count, w.limit), "aria-label": "reserved of the limit" }), `${number(w.count)} of ${number(w.limit)}`),
      w.count ? span((new Date(w.ends_at) - new Date(w.read_time)) / 1000) : "–", w.window, w.policy + (w.shadow ? ", shadow: refuses nothing" : ""),
      w.reset_by ? `${shown(w.reset_by)}, ${time(w.reset_at)}` : "–"],
  }))).node;
}

// letters shows the dead letters that wait, on request.
export function letters(reason) {
  const place = el("div", { class: "stack" });
  const button = el("button", { type: "button", text: "Look now" });
  const note = el("span", { class: "muted", role: "status" });
  button.addEventListener("click", async () => {
    button.disabled = true;
    note.textContent = "looking; it ends when none has come for three seconds, or after eight …";
    try {
      const found = await get(["dead-letters"]);
      last = found;
      note.textContent = "";
      place.replaceChildren(lettersFound(found, reason));
    } catch (e) {
      note.textContent = "";
      place.replaceChildren(fault(e.message));
    }
    button.disabled = false;
  });
  if (last) place.replaceChildren(lettersFound(last, reason));
  return panel("Dead letters", "that wait in their subscription",
    empty("A look leases up to 500 letters for some seconds, and releases them all. Meanwhile no one else sees them: a redrive that runs just then leaves them for the next one."),
    el("div", { class: "actions" }, button, note), place);
}

let last = null; // what the last look has found

function lettersFound(found, reason) {
  if (found.letters.length === 0) return empty(`None waits in ${shown(found.subscription)}, at ${time(found.at)}.`);
  const by = new Map();
  for (const l of found.letters) by.set(l.reason, [...(by.get(l.reason) ?? []), l]);
  const counts = new Table("Dead letters by reason", [{ title: "reason", class: "text" }, { title: "waiting", class: "number" }, { title: "oldest", class: "number" }, { title: "newest", class: "number" }, { title: "what to do", class: "text" }]);
  counts.update([...by].sort((a, b) => b[1].length - a[1].length).map(([name, all]) => ({
    key: name, cells: [el("a", { href: path("dead-letters", name), text: shown(name || "(none)") }), number(all.length), ago(all[0].refused_at), ago(all.at(-1).refused_at), found.next?.[name] ?? "–"],
  })));
  const table = new Table("Dead letters, the oldest first", [{ title: "refused", class: "time" }, { title: "reason", class: "text" }, { title: "detail", class: "text" },
    { title: "event", class: "text" }, { title: "type", class: "text" }, { title: "subscription", class: "text" }, { title: "message", class: "text" }, { title: "redriven", class: "number" }]);
  const wanted = reason === undefined ? found.letters : by.get(reason) ?? [];
  table.update(wanted.map((l) => ({
    key: l.message_id + l.refused_at,
    cells: [time(l.refused_at), shown(l.reason), shown(l.detail), el("span", { class: "id", text: shown(l.event_id || "–") }), shown(l.type || "–"), shown(l.subscription.split("/").at(-1)), el("span", { class: "id", text: shown(l.message_id) }), number(l.redrives ?? 0)],
  })));
  return el("div", {},
    el("p", { class: "muted", text: `${number(found.letters.length)}${found.more ? " looked at, and there are more" : ""}, at ${time(found.at)}` }),
    counts.node, el("h3", {}, reason === undefined ? "all of them" : `reason ${shown(reason)} `, reason === undefined ? null : el("a", { href: "#/dead-letters", text: "show all" })), table.node);
}
