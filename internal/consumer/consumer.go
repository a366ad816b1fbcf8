package consumer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
	"github.com/northstar-engines/realtime-registry/internal/observe"
)

// A Consumer applies the events of a transport to a store. Use it for one Run.
type Consumer struct {
	transport Transport
	opts      Options
	rules     rules
	decode    func(rules envelope.Rules, attributes map[string]string, data []byte) (events.Event, error)

	admission       admission
	ledgerAdmission admission // of what is in the ledger's lane
	aside           admission // of what was refused, and waits for the dead-letter topic
	asideStuck      atomic.Bool
	intake          chan *work // admitted
	resources       *lane
	ledger          *lane
	applier         Applier
	progress        progress
	telemetry       *telemetry
	log             messageLog

	// killed ends when the drain is over: what is unsettled then is nacked. It
	// belongs to the run and not to one call, so it is a field.
	killed context.Context
	kill   context.CancelFunc
	over   chan struct{} // closed when Run returns
	used   atomic.Bool
}

// New returns a consumer. The error lists every fault of the options.
func New(store Store, transport Transport, opts Options) (*Consumer, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	c := &Consumer{
		transport: transport,
		opts:      opts,
		rules:     newRules(opts),
		decode:    decode,
		admission: newAdmission(opts.MaxOutstandingMessages, opts.MaxOutstandingBytes),
		intake:    make(chan *work, opts.BatchChanges),
		resources: newLane(opts.BatchChanges, opts.Appliers),
		// The queue has room for everything that is admitted, so that decoders
		// never wait for it. One applier: what arrives while a batch is applied
		// goes into the next one.
		ledgerAdmission: newAdmission(opts.MaxOutstandingMessages, opts.MaxOutstandingBytes),
		ledger:          newLane(2*opts.MaxOutstandingMessages, 1),
		aside:           newAdmission(max(1, opts.MaxOutstandingMessages/asideShare), max(1, opts.MaxOutstandingBytes/asideShare)),

		progress: progress{timeout: opts.ReadyTimeout},
		log:      messageLog{observe.NewLimitedLog(opts.Logger, logRate, logBurst)},
		over:     make(chan struct{}),
	}
	c.killed, c.kill = context.WithCancel(context.Background())
	var err error
	c.telemetry, err = newTelemetry(opts, c.progress.outstandingNow)
	c.applier = Applier{Store: store, CommitTimeout: opts.CommitTimeout, RetryBudget: opts.RetryBudget, telemetry: c.telemetry}
	return c, err
}

// Ready returns nil while the consumer receives and makes progress, and otherwise
// an error that says why not: it is not receiving yet, or draining; work has waited
// for ReadyTimeout without a single ack; or the transport has a fault.
func (c *Consumer) Ready() error {
	return errors.Join(c.progress.ready(time.Now()), c.transport.Ready())
}

// Backlogged reports whether events wait: more than half of the messages or bytes that
// may be in hand are, in all or in the ledger's lane.
func (c *Consumer) Backlogged() bool {
	return !c.admission.halfFree() || !c.ledgerAdmission.halfFree()
}

// ErrStart is returned by a Run that ended before it received anything: the
// transport's Check failed.
var ErrStart = errors.New("start consuming")

// killGrace is how long Run waits, after the rest was nacked, for the transport
// to send the nacks and for commits in flight to end.
const killGrace = 5 * time.Second

// Run consumes until ctx ends, drains, and returns nil; or until it cannot go
// on, drains, and returns why. After it has returned, every message that was
// delivered has been settled, and all settlements are sent, unless that
// took longer than DrainTimeout and a few seconds: such messages are delivered
// again.
func (c *Consumer) Run(ctx context.Context) error {
	if c.used.Swap(true) {
		return errors.New("consumer: Run was called before")
	}
	defer c.telemetry.close()
	defer close(c.over)
	defer c.kill()

	if err := c.check(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	receiving, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	for range 2 * runtime.GOMAXPROCS(0) {
		go c.decoder()
	}
	go c.batches(c.resources)
	go c.batches(c.ledger)
	go func() {
		limits := Limits{Messages: c.opts.MaxOutstandingMessages, Bytes: c.opts.MaxOutstandingBytes}
		ended <- c.transport.Receive(receiving, limits, c.deliver)
	}()
	c.progress.setPhase(receivingPhase)

	select {
	case err := <-ended:
		c.progress.setPhase(drainingPhase)
		if ctx.Err() != nil { // both at once: this is a drain
			return nil
		}
		return receiveEnded(err)
	case <-ctx.Done():
		c.progress.setPhase(drainingPhase)
		return c.drain(ended)
	}
}

func (c *Consumer) check(ctx context.Context) error {
	checking, cancel := context.WithTimeout(ctx, c.opts.StartTimeout)
	defer cancel()
	if err := c.transport.Check(checking); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", ErrStart, err)
	}
	return nil
}

func receiveEnded(err error) error {
	if err == nil {
		err = errors.New("stopped unexpectedly")
	}
	return fmt.Errorf("receive: %w", err)
}

// drain waits until all that was admitted is settled, for at most DrainTimeout;
// then the rest is nacked.
func (c *Consumer) drain(ended <-chan error) error {
	started := time.Now()
	c.opts.Logger.Info("draining", "outstanding", c.progress.outstandingNow(), "timeout", c.opts.DrainTimeout)
	deadline := time.AfterFunc(c.opts.DrainTimeout, c.kill)
	defer deadline.Stop()
	grace := time.NewTimer(c.opts.DrainTimeout + killGrace)
	defer grace.Stop()

	select {
	case err := <-ended:
		if err != nil { // it ended by itself at the same time; the drain still succeeded
			c.opts.Logger.Warn("receiving ended with an error during the drain", "error", err)
		}
	case <-grace.C:
		c.opts.Logger.Warn("drain timed out before all settlements were sent; their messages will be delivered again")
		return nil
	}
	c.awaitCommits(grace.C)
	c.opts.Logger.Info("drained", "took", time.Since(started).Round(time.Millisecond))
	return nil
}

// awaitCommits waits for commits in flight whose messages were nacked already,
// so that the end of the process does not cut them off.
func (c *Consumer) awaitCommits(timeout <-chan time.Time) {
	for _, l := range []*lane{c.resources, c.ledger} {
		for range cap(l.slots) {
			select {
			case l.slots <- struct{}{}:
			case <-timeout:
				return
			}
		}
	}
}
