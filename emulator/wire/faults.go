package wire

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Faults makes calls fail. It is safe for concurrent use.
//
// A method is named as in its service, such as "Commit", or in full, such as
// "/google.firestore.v1.Firestore/Commit". Google's clients repeat many calls
// that fail with Unavailable by themselves; each attempt uses up one fault.
type Faults struct {
	mu      sync.Mutex
	plans   []*plan
	down    bool
	streams map[*brokenStream]struct{} // those that Down breaks

	random       *rand.Rand
	disturbances []Disturbance
	disturbed    int
	calmer       chan struct{} // closed and replaced when the disturbances change
}

type plan struct {
	method string
	code   codes.Code
	late   bool // the call reaches the server before it fails
	left   int
}

// NewFaults returns faults that let everything pass.
func NewFaults() *Faults {
	return &Faults{streams: map[*brokenStream]struct{}{}, calmer: make(chan struct{})}
}

// LoseAnswers loses the answers of the next n calls of a method. Each reaches the
// server and is carried out there, and the caller gets Unavailable. Of a stream it
// loses everything that the server sends.
func (f *Faults) LoseAnswers(method string, n int) {
	f.plan(plan{method: method, code: codes.Unavailable, late: true, left: n})
}

// Fail makes the next n calls of a method end with a code; they never reach the
// server.
func (f *Faults) Fail(method string, code codes.Code, n int) {
	f.plan(plan{method: method, code: code, left: n})
}

// Down makes every call end with Unavailable without reaching the server, and
// breaks the streams that are open, until it is called with false.
func (f *Faults) Down(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
	if down {
		for s := range f.streams {
			s.breakOffLocked()
		}
	}
}

// Left returns how many planned faults have not happened yet.
func (f *Faults) Left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := 0
	for _, p := range f.plans {
		left += p.left
	}
	return left
}

// DialOptions attach the faults to a connection.
func (f *Faults) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(f.unary), grpc.WithChainStreamInterceptor(f.stream)}
}

func (f *Faults) plan(p plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plans = append(f.plans, &p)
}

// next decides about one call: early is an error in place of the call, late one in
// place of its answer. A disturbance may hold the call up first.
func (f *Faults) next(ctx context.Context, method string) (early, late error) {
	d, early, late := f.decide(method)
	if err := d.wait(ctx); err != nil {
		return err, nil
	}
	return early, late
}

func (f *Faults) decide(method string) (d Disturbance, early, late error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return d, errDown, nil
	}
	for _, p := range f.plans {
		if p.left == 0 || (method != p.method && !strings.HasSuffix(method, "/"+p.method)) {
			continue
		}
		p.left--
		if p.late {
			return d, nil, status.Errorf(p.code, "wire: the answer of %s was lost", method)
		}
		return d, status.Errorf(p.code, "wire: %s was made to fail", method), nil
	}
	d = f.disturbanceLocked(method)
	early, late = d.errors(method)
	return d, early, late
}

var errDown = status.Error(codes.Unavailable, "wire: the server is down")

func (f *Faults) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	early, late := f.next(ctx, method)
	if early != nil {
		return early
	}
	err := invoke(ctx, method, req, reply, cc, opts...)
	if late != nil {
		return late
	}
	return err
}

func (f *Faults) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	early, late := f.next(ctx, method)
	if early != nil {
		return nil, early
	}
	ctx, cancel := context.WithCancel(ctx)
	inner, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		cancel()
		return nil, err
	}
	s := &brokenStream{ClientStream: inner, faults: f, ctx: ctx, method: method, cancel: cancel, lose: late}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.streams[s] = struct{}{}
	if f.down { // since next
		s.breakOffLocked()
	}
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.streams, s)
	})
	return s, nil
}

// brokenStream is a stream that may break.
type brokenStream struct {
	grpc.ClientStream
	faults *Faults
	ctx    context.Context
	method string
	cancel context.CancelFunc
	lose   error // in place of the answer
	broken bool  // guarded by faults.mu
}

// breakOffLocked ends the stream with an error.
func (s *brokenStream) breakOffLocked() {
	s.broken = true
	s.cancel()
}

func (s *brokenStream) SendMsg(m any) error {
	_ = s.faults.stalled(s.ctx, s.method) // the stream says what has ended it
	return s.check(s.ClientStream.SendMsg(m))
}

func (s *brokenStream) RecvMsg(m any) error {
	err := s.check(s.ClientStream.RecvMsg(m))
	if err == nil {
		err = s.faults.stalled(s.ctx, s.method)
	}
	if s.lose != nil && err != errDown {
		err = s.lose
	}
	if err != nil {
		s.cancel() // the stream is over
	}
	return err
}

func (s *brokenStream) check(err error) error {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if s.broken {
		return errDown
	}
	return err
}
