package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/problem"
)

// maxBody is the size of a body that is tolerated where none is needed.
const maxBody = 4 << 10

// Server answers HTTP requests. It is an http.Handler, safe for concurrent use.
type Server struct {
	options   Options
	guard     atomic.Pointer[guard]
	table     []tableRoute
	checks    []checkPath   // of the table, those that quick answers
	slots     chan struct{} // one for each request to /v1 in progress
	watches   chan struct{} // one for each watch that is open
	draining  atomic.Bool
	successor successor
	telemetry *telemetry
	watching  *watching
	hosts     hosts
}

// New returns a server. The error lists every fault of the options.
func New(options Options) (*Server, error) {
	if err := options.Validate(); err != nil {
		return nil, fmt.Errorf("api options: %w", err)
	}
	options = options.withDefaults()
	t, err := newTelemetry(options)
	if err != nil {
		return nil, fmt.Errorf("api telemetry: %w", err)
	}
	watching, err := newWatching(options)
	if err != nil {
		return nil, fmt.Errorf("api telemetry: %w", err)
	}
	s := &Server{
		options:   options,
		slots:     make(chan struct{}, options.MaxConcurrent),
		watches:   make(chan struct{}, options.maxWatches()),
		telemetry: t,
		watching:  watching,
		successor: newSuccessor(),
	}
	if err := s.SetTokens(options.Tokens, options.ClaimTokens); err != nil {
		return nil, fmt.Errorf("api options: %w", err)
	}
	for _, route := range s.routes() {
		s.table = append(s.table, tableRoute{route, strings.Split(route.pattern, "/")})
	}
	s.checks = s.checkPaths()
	return s, nil
}

// SetTokens replaces Options.Tokens and Options.ClaimTokens, for later requests. If
// there is an error, nothing is replaced.
func (s *Server) SetTokens(tokens, claims []string) error {
	g, err := newGuard(tokens, claims)
	if err != nil {
		return err
	}
	s.guard.Store(g)
	return nil
}

// ServeHTTP answers one request, with the limits of the package comment, except
// those that Serve sets on connections.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if next := s.successor.server.Load(); next != nil {
		next.ServeHTTP(w, r)
		return
	}
	if s.quick(w, r) {
		return
	}
	route, allowed := s.find(r)
	if route == nil && s.options.Starting != nil {
		if next := s.awaitSuccessor(r); next != nil {
			next.ServeHTTP(w, r)
			return
		}
	}
	w.Header()["Cache-Control"], w.Header()["X-Content-Type-Options"] = noStore, noSniff
	x := s.telemetry.begin(forProxy(route, w, r), r, route, &s.draining)
	defer x.end()
	w = x.answer
	if r.ContentLength > 0 && (isGet(r) || route.isForwardAuth()) { // otherwise net/http waits for the body before it answers
		w.Header().Set("Connection", "close")
	}
	if route != nil {
		route.echo(w, r)
	}
	g := s.guard.Load()
	switch {
	case isSpare(r.Context()) && !route.isHealth():
		w.Header().Set("Connection", "close")
		problem.New(http.StatusServiceUnavailable, "too many connections; try again").Write(w)
	case len(r.TransferEncoding) > 0:
		w.Header().Set("Connection", "close")
		problem.New(http.StatusLengthRequired, "a body needs a Content-Length, in place of Transfer-Encoding, and most requests need no body").Write(w)
	case s.options.Verifier != nil && !g.demands(apiToken) && refuseBrowsers(w, r, route):
	case route != nil && route.access == open:
		if isSpare(r.Context()) {
			w.Header().Set("Connection", "close")
		}
		route.serve(w, r)
	case route != nil:
		s.serveGuarded(g, x, r, route)
	case s.options.Starting != nil:
		problem.New(http.StatusServiceUnavailable, errStarting.Error()).Write(w)
	case len(allowed) > 0:
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		problem.New(http.StatusMethodNotAllowed, "this path takes "+strings.Join(allowed, ", ")).Write(w)
	case r.URL.Path == "/metrics" && s.options.MetricsAt != "":
		problem.New(http.StatusNotFound, "no such endpoint here: metrics are at "+s.options.MetricsAt).Write(w)
	case s.options.Verifier == nil:
		problem.New(http.StatusNotFound, "no such endpoint: the API is not served here").Write(w)
	default:
		problem.New(http.StatusNotFound, "no such endpoint: see /v1/openapi.json").Write(w)
	}
}

func (s *Server) serveGuarded(g *guard, x *exchange, r *http.Request, route *route) {
	w := x.answer
	if refusal := g.refusal(r, route.access); refusal != "" {
		x.refused(r, refusal)
		challenge(w, refusal)
		problem.New(http.StatusUnauthorized, "the bearer token is missing or is not the one for this request").Write(w)
		return
	}
	r = x.trace(r, g.demands(route.access))
	if route.streams {
		s.stream(x, r, route)
		return
	}
	var body []byte // read before it takes a slot: it may arrive slowly
	switch {
	case route.isForwardAuth(): // a proxy announces its client's body, of any length, and sends none
	case route.list == nil:
		if !discardBody(w, r) {
			return
		}
	default:
		var read bool
		if body, read = readList(w, r, route.list); !read {
			return
		}
	}
	var leave func()
	select {
	case s.slots <- struct{}{}:
		leave = sync.OnceFunc(func() { <-s.slots })
		defer leave()
	default:
		problem.New(http.StatusServiceUnavailable, "too many requests in progress; try again").Write(w)
		return
	}
	if route.list != nil {
		route.serveList(x, r, body, leave)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.options.RequestTimeout)
	defer cancel()
	route.serve(w, r.WithContext(ctx))
}

// isGet reports whether the request is a GET or a HEAD. Their bodies are not waited
// for, and then their connections are closed: proxies announce a body that they do
// not pass on.
func isGet(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// discardBody reads a body that is not needed. It answers 413 if the body is too
// long, or 400 if it is incomplete; then the connection is closed.
func discardBody(w http.ResponseWriter, r *http.Request) bool {
	if r.ContentLength == 0 {
		return true
	}
	tooLarge := r.ContentLength > maxBody // refused without reading it
	if !tooLarge && isGet(r) {
		return true
	}
	if !tooLarge {
		_, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody))
		var over *http.MaxBytesError
		if tooLarge = errors.As(err, &over); err != nil && !tooLarge {
			w.Header().Set("Connection", "close")
			problem.New(http.StatusBadRequest, "the request body could not be read").Write(w)
			return false
		}
	}
	if tooLarge {
		w.Header().Set("Connection", "close")
		problem.New(http.StatusRequestEntityTooLarge,
			fmt.Sprintf("this request needs no body, and may have none of more than %d bytes", maxBody)).Write(w)
	}
	return !tooLarge
}

// Drain makes /readyz fail, so that no more requests are sent here, while all that
// arrive are answered as before. The connection of each is closed with its answer:
// a client that keeps connections open would otherwise stay here until Serve closes
// them, perhaps with a request in transit. It may be called more than once.
func (s *Server) Drain() {
	s.draining.Store(true)
	if next := s.successor.server.Load(); next != nil {
		next.Drain()
	}
}

// Serve answers on the listener, which it closes, until ctx ends. Then it takes no
// more connections, and returns nil when all requests in progress have been
// answered, or an error if that took longer than Options.DrainTimeout. Any other
// end is an error too. Call Drain some time before ctx ends. An address off loopback
// without Options.Tokens is refused at once.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	if s.options.ServesAPI() && len(s.options.Tokens) == 0 && !onLoopback(listener.Addr()) {
		return errors.Join(
			fmt.Errorf("serve on %s: an address off loopback needs a bearer token (REGISTRY_API_TOKEN)", listener.Addr()),
			listener.Close())
	}
	server := s.httpServer(ctx)
	var busy busy
	server.ConnState = busy.note
	ended := make(chan error, 1)
	bounded := bound(listener, s.options.MaxConnections, s.options.Logger)
	go func() { ended <- server.Serve(bounded) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
		s.Drain()
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.DrainTimeout)
	defer cancel()
	bounded.leave(drain)
	<-ended // all that was accepted is counted as busy
	busy.wait(drain)
	if err := server.Shutdown(drain); err != nil {
		return errors.Join(fmt.Errorf("drain %s: %w", listener.Addr(), err), server.Close())
	}
	return nil
}

// protocols returns HTTP/1.1 and, for clients with prior knowledge (h2c), HTTP/2.
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

func (s *Server) httpServer(ctx context.Context) *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		// Counts from the first byte of the request to the last.
		ReadTimeout:    s.options.RequestTimeout + 5*time.Second,
		WriteTimeout:   s.options.RequestTimeout + 10*time.Second,
		IdleTimeout:    s.options.KeepAlive,
		MaxHeaderBytes: s.options.MaxHeaderBytes,
		// Requests in progress outlive ctx: they are drained.
		BaseContext: func(net.Listener) context.Context { return withDrain(context.WithoutCancel(ctx), ctx) },
		ConnContext: withConn,
		Protocols:   protocols(),
		// A half-open connection would keep its watches as long as the system
		// resends what is not acknowledged: a quarter of an hour.
		HTTP2:    &http.HTTP2Config{SendPingTimeout: s.options.RequestTimeout, PingTimeout: s.options.RequestTimeout + 5*time.Second},
		ErrorLog: slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelWarn),
		// OPTIONS * is a request like any other.
		DisableGeneralOptionsHandler: true,
	}
}

func onLoopback(addr net.Addr) bool {
	switch a := addr.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}
