// What the page asks of the server. The token is kept for as long as the tab is, and
// sent as a header. A cookie would go to every port of this host.

const key = "registry-console-token";

export const token = {
  get: () => sessionStorage.getItem(key),
  set: (value) => sessionStorage.setItem(key, value),
  forget: () => sessionStorage.removeItem(key),
};

// Refused is an answer that is no 200.
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function ask(what, signal) {
  const headers = token.get() ? { Authorization: `Bearer ${token.get()}` } : {};
  const answer = await fetch(`console/api/${what}`, { headers, signal, cache: "no-store", credentials: "omit", redirect: "error" });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, said.detail ?? `${answer.status} ${answer.statusText}`);
}

// get returns the JSON at a path of parts.
export async function get(parts, signal) {
  return (await ask(parts.map(encodeURIComponent).join("/"), signal)).json();
}

const shortest = 1000, longest = 10000;

// Live reads samples, until it is stopped, and comes back after whatever ends it.
// told is called with {sample}, or with {lost, again}: why there is none, and in how
// many milliseconds it tries again. A 401 ends it: unauthorized is called.
export class Live {
  #told; #unauthorized; #abort = null; #timer = 0; #pause = shortest; #watchdog = 0;
  silence = 15000; // after which a connection is taken for dead

  constructor(told, unauthorized) {
    this.#told = told;
    this.#unauthorized = unauthorized;
  }

  get running() { return this.#abort !== null || this.#timer !== 0; }

  start() {
    if (!this.running) this.#connect();
  }

  stop() {
    this.#abort?.abort();
    clearTimeout(this.#timer);
    clearTimeout(this.#watchdog);
    this.#abort = null;
    this.#timer = 0;
  }

  async #connect() {
    this.#timer = 0;
    const abort = this.#abort = new AbortController();
    let why = "the server has closed the stream";
    try {
      this.#watch(abort);
      const answer = await ask("live", abort.signal);
      await this.#read(answer.body.pipeThrough(new TextDecoderStream()).getReader(), abort);
    } catch (e) {
      why = e.status ? e.message : "the server does not answer";
      if (e.status === 401) {
        this.stop();
        this.#unauthorized();
        return;
      }
    }
    clearTimeout(this.#watchdog);
    if (this.#abort !== abort) return; // stopped
    abort.abort();
    this.#abort = null;
    const wait = this.#pause * (0.8 + 0.4 * Math.random());
    this.#pause = Math.min(longest, this.#pause * 2);
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.#told({ lost: why, again: wait });
  }

  #watch(abort) {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => abort.abort(), this.silence);
  }

  async #read(reader, abort) {
    for (let rest = ""; ;) {
      const { value, done } = await reader.read();
      if (done) return;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const data = event.match(/^event: sample\ndata: (.*)$/)?.[1];
        if (!data) continue;
        this.#watch(abort);
        this.#pause = shortest;
        this.#told({ sample: JSON.parse(data) });
      }
    }
  }
}
