// The overview: what the processes do at this moment.

import { Table, ago, bytes, el, empty, fault, number, panel, path, rate, setText, shown, span, tenantLink, time } from "./dom.js";
import { progressOf } from "./moves.js";

const kept = 150; // points of a line

// Line is a number with its course.
class Line {
  #values = []; #line = el("polyline"); #label = el("title"); #number = document.createTextNode("–"); #what; #form;

  constructor(what, unit, form) {
    this.#what = what;
    this.#form = form;
    this.node = el("div", { class: "head" },
      el("div", { class: "big" }, this.#number, unit ? el("span", { class: "unit", text: unit }) : null),
      el("svg", { class: "spark", viewBox: "0 0 150 36", preserveAspectRatio: "none", role: "img" },
        this.#label, el("line", { x1: 0, y1: 35.5, x2: kept, y2: 35.5 }), this.#line));
  }

  add(value) {
    this.#number.data = this.#form(value);
    this.#values = [...this.#values, value].slice(-kept);
    const known = this.#values.filter((v) => v !== null && v !== undefined);
    const most = Math.max(...known, 0);
    const from = kept - this.#values.length;
    this.#line.setAttribute("points", this.#values
      .map((v, i) => (v === null || v === undefined ? null : `${from + i + 0.5},${(35 - (most ? 33 * v / most : 0)).toFixed(1)}`))
      .filter(Boolean).join(" "));
    this.#label.textContent = `${this.#what}: now ${this.#form(value)}, at most ${this.#form(most)} since the page is open`;
  }
}

const sum = (counts) => (counts && counts.some((c) => c.rate !== null) ? counts.reduce((n, c) => n + (c.rate ?? 0), 0) : null);
const total = (counts) => (counts ?? []).reduce((n, c) => n + c.total, 0);

const counted = (caption, first) => new Table(caption, [{ title: first, class: "text" }, { title: "a second", class: "number" }, { title: "total", class: "number" }]);
const rowsOf = (counts, word = (name) => name) => (counts ?? []).map((c) => ({
  key: c.name, class: c.total ? "" : "zero", cells: [word(c.name), rate(c.rate), number(c.total)],
}));

// fill shows a part, or what to do if there is nothing in it.
function fill(place, there, parts, otherwise) {
  const nodes = there ? parts : [otherwise];
  if (place.childNodes.length !== nodes.length || !nodes.every((n, i) => n === place.childNodes[i])) place.replaceChildren(...nodes);
}

const noWorker = () => empty("No worker is in sight: what it counts is in its own process. Start this one with ",
  el("code", { text: "--console-peers http://HOST:PORT" }), " of the workers' /metrics.");

export class Overview {
  #events = new Line("events a second", "events/s", rate);
  #lag = new Line("publish to ack, 99th percentile", "publish to ack, p99", span);
  #checks = new Line("checks a second", "checks/s", rate);
  #outcomes = counted("Events by outcome", "outcome");
  #refused = counted("Events refused, by reason", "refused, by reason");
  #letters = counted("Dead letters by reason", "reason");
  #throttle = counted("Throttle decisions", "outcome");
  #read = counted("Checks that were read, by outcome", "read from the store");
  #causes = counted("Refused checks, by cause", "refused, by cause");
  #requests = counted("HTTP answers by status", "status");
  #lags = new Table("Lag", [{ title: "", class: "text" }, { title: "median", class: "number" }, { title: "p99", class: "number" }, { title: "measured", class: "number" }]);
  #processes = new Table("Processes", ["process", "ready", "store", "certificate's age", "events/s", "outstanding", "checks/s", "memory", "up", "version"].map((title, i) =>
    ({ title, class: i > 2 && i < 9 ? "number" : "text" })));
  #tenants = new Table("Tenants refused in the last ten minutes", [{ title: "tenant", class: "text" }, { title: "action", class: "text" }, { title: "refused", class: "number" }, { title: "last", class: "number" }]);
  #moves = new Table("Moves under way", [{ title: "move", class: "text" }, { title: "from → to", class: "text" }, { title: "rewriting", class: "text" }]);
  #places = Object.fromEntries(["events", "lag", "letters", "checks", "moves", "throttle", "http"].map((name) => [name, el("div")]));
  #noWorker = [noWorker(), noWorker(), noWorker()];
  #memory = el("p", { class: "muted" });
  #notes = { letters: el("p", { class: "bad" }), moves: el("span") };
  #tenantsTitle = el("h3", { text: "tenants refused here in the last ten minutes" });
  #calm = { letters: empty("No event was refused since the workers in sight have started."), refused: empty("Nobody was refused in the last ten minutes by this process. Others' refusals are in their own."), moves: empty("No move is being rewritten, or waits parked.") };
  #movesFault = fault("");
  #parked = el("p", { class: "notice fault" });

  constructor() {
    const p = this.#places;
    this.node = el("div", { class: "grid" },
      panel("Events", null, p.events), panel("Lag", "of the last 30 s", p.lag), panel("Checks", null, p.checks),
      Object.assign(panel("Processes", "those that this page sees", this.#processes.node), { className: "panel wide" }),
      Object.assign(panel("Moves under way", this.#notes.moves, p.moves), { className: "panel wide" }),
      panel("Dead letters", "since the workers have started", p.letters),
      panel("Throttle", null, p.throttle), panel("HTTP", null, p.http));
  }

  update(sample, about) {
    const { counts, durations, processes } = sample;
    const worker = processes.some((x) => x.worker);
    this.#processes.update(processes.map((x) => this.#process(x, about)));
    this.#events.add(sum(counts.events_by_outcome));
    this.#outcomes.update(rowsOf(counts.events_by_outcome));
    this.#refused.update(rowsOf(counts.events_refused?.filter((c) => c.total)));
    fill(this.#places.events, worker, [this.#events.node, this.#outcomes.node, ...(total(counts.events_refused) ? [this.#refused.node] : [])], this.#noWorker[0]);

    this.#lag.add(durations.message_lag?.p99 ?? null);
    this.#lags.update([["event_lag", "event's time to ack"], ["message_lag", "publish to ack"], ["feed_read", "certificate's read"], ["check", "check, read"]].map(([name, text]) => {
      const d = durations[name];
      return { key: name, class: d ? "" : "zero", cells: [text, span(d?.p50), (d?.p99_above ? "> " : "") + span(d?.p99), number(d?.count ?? 0)] };
    }));
    fill(this.#places.lag, true, worker ? [this.#lag.node, this.#lags.node] : [this.#lags.node]);

    this.#checked(counts);
    this.#letters.update(rowsOf(counts.dead_letters?.filter((c) => c.total)));
    const failures = total(counts.dead_letter_failures);
    setText(this.#notes.letters, failures ? `${number(failures)} could not be published, and will be delivered again` : "");
    fill(this.#places.letters, worker, [total(counts.dead_letters) ? this.#letters.node : this.#calm.letters, this.#notes.letters, lookAtLetters], this.#noWorker[1]);

    this.#throttled(sample);
    this.#rewriting(sample.rewriting, counts.rewriting_jobs?.find((c) => c.name === "parked")?.total);
    this.#requests.update(rowsOf(counts.requests));
    fill(this.#places.http, total(counts.requests) > 0, [this.#requests.node], noRequests);
  }

  #process(p, about) {
    const g = p.gauges;
    const ready = p.error ? el("span", { class: "bad", text: "✕ " + shown(p.error) }) :
      p.ready ? el("span", { class: "good", text: "✓ ready" }) : el("span", { class: "bad", text: "✕ " + shown(p.why) });
    const certificate = p.api ? certificateOf(g.certificate_age, p.checks, about?.max_staleness_seconds) : "–";
    const store = g.store_up === undefined ? "–" : g.store_up ? el("span", { class: "good", text: "✓ answers" }) : el("span", { class: "bad", text: "✕ is away" });
    const name = el("span", {}, shown(p.name), el("span", { class: "muted", text: p.self ? "" : p.worker && p.api ? " worker, API" : p.worker ? " worker" : p.api ? " API" : "" }));
    return { key: p.name, cells: [name, ready, store, certificate, p.worker ? rate(p.events) : "–", p.worker ? number(g.outstanding ?? 0) : "–",
      p.api ? rate(p.checks) : "–", bytes(g.memory_bytes), g.started ? span(Date.now() / 1000 - g.started) : "–", shown(p.version || "–")] };
  }

  #checked(counts) {
    const memory = counts.checks_from_memory, read = counts.checks_read;
    const a = sum(memory), b = sum(read);
    this.#checks.add(a === null && b === null ? null : (a ?? 0) + (b ?? 0));
    const all = total(memory) + total(read);
    setText(this.#memory, all ? `${(100 * total(memory) / all).toFixed(1)} % of ${number(all)} were answered from memory` : "");
    this.#read.update(rowsOf(read));
    this.#causes.update(rowsOf(counts.refusals?.filter((c) => c.total)));
    fill(this.#places.checks, all > 0, [this.#checks.node, this.#memory, this.#read.node, ...(total(counts.refusals) ? [this.#causes.node] : [])], noChecks);
  }

  #throttled(sample) {
    const decisions = sample.counts.throttle?.filter((c) => c.total);
    this.#throttle.update(rowsOf(decisions));
    this.#tenants.update(sample.throttled.map((t) => ({ key: `${t.tenant_id} ${t.action}`, cells: [tenantLink(t.tenant_id), shown(t.action), number(t.refused), ago(t.last)] })));
    fill(this.#places.throttle, decisions?.length > 0,
      [this.#throttle.node, ...(sample.throttled.length ? [this.#tenantsTitle, this.#tenants.node] : [this.#calm.refused])], noThrottle);
  }

  #rewriting(r, parked) {
    setText(this.#parked, parked ? `${number(parked)} given up since the workers in sight have started: registry-worker moves list --state parked says which, and why` : "");
    this.#parked.hidden = !parked;
    setText(this.#notes.moves, r.moves ? `read ${time(r.at)}, every 10 s` : "");
    if (r.error) {
      setText(this.#movesFault, shown(r.error));
      fill(this.#places.moves, true, [this.#movesFault]);
      return;
    }
    this.#moves.update((r.moves ?? []).map((m) => ({
      key: `${m.source} ${m.id}`,
      cells: [el("a", { href: path("moves", m.source, m.id), class: "id", text: shown(m.id) }), el("span", {}, tenantLink(m.from), " → ", tenantLink(m.to)), progressOf(m.rewriting)],
    })));
    fill(this.#places.moves, r.moves?.length > 0 || parked, [this.#parked, ...(r.moves?.length ? [this.#moves.node] : [])], this.#calm.moves);
  }
}


// certificateOf is the age of what memory rests on. If there are no checks for a minute
// none is read, which is no fault.
function certificateOf(age, checks, most) {
  if (age === undefined) return el("span", { class: "muted", text: "none: no checks yet" });
  if (!most || age <= most) return span(age);
  return checks > 0 ? el("span", { class: "warn", text: `${span(age)}: checks are read` }) : el("span", { class: "muted", text: `${span(age)}: no checks` });
}

const lookAtLetters = el("p", { class: "actions" }, el("a", { href: "#/dead-letters", text: "Look at those that wait" }));
const noRequests = empty("No request yet.");
const noChecks = empty("No check yet. One is ", el("code", { text: "GET /v1/threads/ID/access" }), " with the header ", el("code", { text: "X-Tenant-Id" }), ".");
const noThrottle = empty("Nobody has asked the throttle of the processes in sight.");
