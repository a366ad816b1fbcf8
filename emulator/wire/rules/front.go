package rules

import (
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

// front is what the rules of both products share: the ways in, the distance, and
// the meter. Each way in has the same order: the bound on calls of one connection,
// half the distance, the rules, the meter, the emulator.
type front struct {
	host     string
	distance distance
	meter    *wire.Meter
	unary    grpc.UnaryClientInterceptor
	stream   grpc.StreamClientInterceptor
	proxy    *wire.Proxy
	own      *grpc.ClientConn // for the rules' own calls
}

func (f *front) start(host string, unary grpc.UnaryClientInterceptor, stream grpc.StreamClientInterceptor) (err error) {
	f.host, f.unary, f.stream, f.meter = host, unary, stream, wire.NewMeter()
	f.own, err = grpc.NewClient("passthrough:///"+host, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
	if err != nil {
		return fmt.Errorf("rules before %s: %w", host, err)
	}
	f.proxy, err = wire.NewProxy(host, f.behind()...)
	if err != nil {
		return errors.Join(err, f.own.Close())
	}
	return nil
}

func (f *front) behind() []grpc.DialOption {
	return append(f.meter.DialOptions(),
		grpc.WithChainUnaryInterceptor(f.distance.unary, f.unary),
		grpc.WithChainStreamInterceptor(f.distance.stream, f.stream))
}

// Target returns the emulator's address (host:port), for connections with the
// DialOptions. A client without them meets no rules there.
func (f *front) Target() string { return f.host }

// DialOptions returns options that put the rules into connections of this process
// to Target.
func (f *front) DialOptions() []grpc.DialOption {
	c := &crowds{}
	return append([]grpc.DialOption{
		grpc.WithChainUnaryInterceptor(c.unary), grpc.WithChainStreamInterceptor(c.stream),
	}, f.behind()...)
}

// Addr returns the address at which other processes, and clients without
// DialOptions, meet the rules: host:port.
func (f *front) Addr() string { return f.proxy.Addr() }

// Distance sets the duration of a round trip to the service, for all clients. At
// first it is zero.
func (f *front) Distance(roundTrip time.Duration) { f.distance.roundTrip.Store(int64(roundTrip)) }

// Meter returns the meter of what reaches the emulator, by whichever way. What the
// rules refuse is neither billed nor counted.
func (f *front) Meter() *wire.Meter { return f.meter }

// Close ends the proxy and all calls through it.
func (f *front) Close() error { return errors.Join(f.proxy.Close(), f.own.Close()) }
