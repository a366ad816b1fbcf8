// The page: its views by the address behind #, its keys, and its live numbers.

import { el, panel, setText, shown, span } from "./dom.js";
import { Live, get, token } from "./api.js";
import { Overview } from "./overview.js";
import { failed, moves } from "./moves.js";
import { either, letters, placeOf, resource, tenant } from "./look.js";

const at = (id) => document.getElementById(id);
const main = at("main");
const overview = new Overview();

let about = null;
let paused = false;
let lostSince = null;
let view = null; // what is being looked for, until it is found

// state says how current the numbers are.
function state(kind, text) {
  at("state").className = kind;
  setText(at("state"), text);
  main.classList.toggle("stale", kind === "lost" && main.contains(overview.node));
}

const live = new Live(({ sample, lost, again }) => {
  if (sample) {
    lostSince = null;
    overview.update(sample, about);
    state("live", `live, every ${span(about?.every_seconds ?? 2)}`);
    if (!about) learn();
    return;
  }
  lostSince ??= new Date();
  state("lost", `no connection since ${lostSince.toISOString().slice(11, 19)}Z: ${shown(lost)}; again in ${Math.ceil(again / 1000)} s`);
  about = null; // another version may answer next
}, askToken);

async function learn() {
  try {
    about = await get(["about"]);
  } catch {
    return; // the stream says what is wrong
  }
  setText(at("target"), shown(about.target));
  setText(at("version"), shown(`${about.version}`));
  document.title = `Realtime registry · ${shown(about.target)}`;
}

// run has the stream open if there is a viewer: a page that is paused, or hidden, costs
// nothing.
function run() {
  at("forget").hidden = !token.get();
  if (paused || document.hidden) {
    live.stop();
    state("paused", paused ? "paused" : "hidden");
    return;
  }
  if (!live.running) state("waiting", "connecting");
  live.start();
}

function pause() {
  paused = !paused;
  setText(at("pause"), paused ? "Resume" : "Pause");
  run();
}

// askToken shows a form in place of the view: what is asked for needs a token.
function askToken() {
  live.stop();
  if (at("token")) return; // it is asked for already
  const refused = token.get() !== null;
  token.forget();
  state("waiting", "needs a token");
  const input = el("input", { type: "password", id: "token", name: "token", autocomplete: "off", required: true });
  const form = el("form", {
    onsubmit: (e) => {
      e.preventDefault();
      token.set(input.value.trim());
      route();
      run();
    },
  }, el("div", { class: "actions" }, el("label", { for: "token", text: "API token" }), input, el("button", { type: "submit", text: "Use it" })));
  main.replaceChildren(panel("A token is needed", null,
    refused ? el("p", { class: "notice fault", role: "alert", text: "The token is not the one for this server." }) : "",
    el("p", { class: "empty", text: "It is that of the API (REGISTRY_API_TOKEN). It stays in this tab until the tab is closed or you have it forgotten, and is sent to this server alone." }), form));
  input.focus();
}

const views = {
  thread: (signal, id) => resource(signal, "thread", id),
  canvas: (signal, id) => resource(signal, "canvas", id),
  id: either, tenant, moves,
  "dead-letters": (_, reason) => letters(reason),
};

// route shows what the address names.
async function route(focus) {
  const [name, ...args] = location.hash.replace(/^#\/?/, "").split("/").map(decoded);
  for (const a of document.querySelectorAll("nav a")) {
    if (a.hash === (name ? `#/${name}` : "#/")) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  view?.abort();
  view = new AbortController();
  const { signal } = view;
  if (!Object.hasOwn(views, name)) {
    main.replaceChildren(overview.node);
  } else {
    const title = shown([name, ...args].join(" "));
    const waiting = setTimeout(() => main.replaceChildren(panel(title, "looking …")), 150);
    try {
      const node = await views[name](signal, ...args);
      clearTimeout(waiting);
      if (signal.aborted) return;
      main.replaceChildren(node);
    } catch (e) {
      clearTimeout(waiting);
      if (signal.aborted) return;
      if (e.status === 401) return askToken();
      main.replaceChildren(failed(title, e.status ? e : new Error("the server does not answer; look again when it does")));
    }
  }
  if (focus) main.focus({ preventScroll: true });
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const keys = {
  "/": () => { at("query").focus(); at("query").select(); },
  p: pause,
  o: () => { location.hash = "#/"; },
  m: () => { location.hash = "#/moves"; },
  d: () => { location.hash = "#/dead-letters"; },
};

document.addEventListener("keydown", (e) => {
  if (e.key === "Escape" && e.target === at("query")) return main.focus();
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, textarea, select")) return undefined;
  if (!Object.hasOwn(keys, e.key)) return undefined;
  e.preventDefault();
  return keys[e.key]();
});
at("pause").addEventListener("click", pause);
at("forget").addEventListener("click", () => { token.forget(); live.stop(); route(); run(); });
at("skip").addEventListener("click", (e) => { e.preventDefault(); main.focus(); });
at("search").addEventListener("submit", (e) => {
  e.preventDefault();
  const place = placeOf(at("query").value);
  if (location.hash === place) route(true);
  else location.hash = place;
});
window.addEventListener("hashchange", () => route(true));
document.addEventListener("visibilitychange", run);

route();
run();
