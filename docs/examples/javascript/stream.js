// An EventSource that comes back where an EventSource gives up: from a 429 or a 503, as
// a proxy may answer, and from a network that is away. Behind a guard that says its
// refusals in a stream (docs/verifier.md, "Browsers come back") it is not needed.
//
//     const stream = openStream('/sse/chat/th_1', { message: e => show(e.data), gone: status => leave() })
//     stream.close()
//
// closed is told the reason when the registry ends the stream, gone when it is over for
// good. A new EventSource cannot send Last-Event-ID, so that is in the query.
export function openStream(url, { message, closed = () => {}, gone = () => {} }) {
  let source, timer, lastEventId = '', tries = 0, over = false
  const connect = () => {
    const target = new URL(url, location.href)
    if (lastEventId) target.searchParams.set('lastEventId', lastEventId)
    source = new EventSource(target)
    source.onmessage = event => { tries = 0; lastEventId = event.lastEventId; message(event) }
    source.addEventListener('registry.closed', event => closed(event.data))
    source.onerror = async () => {
      if (source.readyState !== EventSource.CLOSED) return // it comes back by itself
      const [status, after] = await ask(target)
      if (over) return
      if (status >= 400 && status < 500 && status !== 429) return gone(status)
      timer = setTimeout(connect, 1000 * Math.max(after, Math.min(2 ** tries++, 30)) * (1 + Math.random() / 2))
    }
  }
  const ask = async target => { // for the status, which an EventSource does not tell
    const abort = new AbortController()
    try {
      const answer = await fetch(target, { signal: abort.signal, cache: 'no-store' })
      return [answer.status, Number(answer.headers.get('Retry-After')) || 0]
    } catch { return [0, 0] } finally { abort.abort() }
  }
  connect()
  return { close: () => { over = true; clearTimeout(timer); source.close() } }
}
