package peer

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	apiv1 "cloud.google.com/go/firestore/apiv1"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"cloud.google.com/go/pubsub/v2"
	"golang.org/x/sync/errgroup"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
)

// probe does the least that can be called consuming into Firestore: whatever
// arrives becomes a document of the same bytes and indexes as the worker's, in
// one BatchWrite for each full batch, and is acknowledged. It decodes nothing,
// checks nothing, folds nothing and recovers from nothing: what is faster than
// the probe is not possible with these clients, and what the worker loses
// against it is the price of what the worker does.
func probe(ctx context.Context, o Options, done *atomic.Int64) error {
	client, err := pubsub.NewClient(ctx, o.Project)
	if err != nil {
		return err
	}
	defer client.Close()
	store, err := newRaw(ctx)
	if err != nil {
		return err
	}
	defer store.Close()

	p := &prober{store: store, database: "projects/" + o.Project + "/databases/(default)", done: done}
	flush := p.create
	if o.Read {
		flush = p.read
	}
	queue := make(chan *pubsub.Message, o.Batch)
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range o.Subscriptions {
		subscriber := client.Subscriber(name)
		subscriber.ReceiveSettings = pubsub.ReceiveSettings{
			NumGoroutines:          o.Streams,
			MaxOutstandingMessages: max(1, o.Outstanding/o.Streams),
			ShutdownOptions:        &pubsub.ShutdownOptions{Timeout: 0},
		}
		group.Go(func() error {
			return subscriber.Receive(ctx, func(ctx context.Context, m *pubsub.Message) {
				select {
				case queue <- m:
				case <-ctx.Done():
				}
			})
		})
	}
	slots := make(chan struct{}, o.InFlight)
	for {
		batch := gather(ctx, queue, o.Batch)
		if len(batch) == 0 {
			return group.Wait()
		}
		slots <- struct{}{}
		group.Go(func() error {
			defer func() { <-slots }()
			return flush(context.WithoutCancel(ctx), batch)
		})
	}
}

// gather returns a full batch, or what has come within 5 ms of the first; none
// when ctx has ended.
func gather(ctx context.Context, queue <-chan *pubsub.Message, size int) []*pubsub.Message {
	batch := make([]*pubsub.Message, 0, size)
	var linger <-chan time.Time
	for len(batch) < size {
		select {
		case m := <-queue:
			if len(batch) == 0 {
				linger = time.After(5 * time.Millisecond)
			}
			batch = append(batch, m)
		case <-linger:
			return batch
		case <-ctx.Done():
			return nil
		}
	}
	return batch
}

type prober struct {
	store    *apiv1.Client
	database string
	done     *atomic.Int64
}

func (p *prober) create(ctx context.Context, batch []*pubsub.Message) error {
	writes := make([]*firestorepb.Write, 0, len(batch))
	for name, m := range p.distinct(batch) {
		writes = append(writes, &firestorepb.Write{
			Operation:       &firestorepb.Write_Update{Update: document(name, m.Attributes)},
			CurrentDocument: &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: false}},
		})
	}
	response, err := p.store.BatchWrite(ctx, &firestorepb.BatchWriteRequest{Database: p.database, Writes: writes})
	if err != nil {
		return err
	}
	for _, s := range response.Status {
		if c := codes.Code(s.GetCode()); c != codes.OK && c != codes.AlreadyExists {
			return fmt.Errorf("batch write: %s", s)
		}
	}
	p.ack(batch)
	return nil
}

func (p *prober) read(ctx context.Context, batch []*pubsub.Message) error {
	names := slices.Collect(maps.Keys(p.distinct(batch)))
	stream, err := p.store.BatchGetDocuments(ctx, &firestorepb.BatchGetDocumentsRequest{Database: p.database, Documents: names})
	if err != nil {
		return err
	}
	for {
		if _, err := stream.Recv(); err == io.EOF {
			p.ack(batch)
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (p *prober) ack(batch []*pubsub.Message) {
	for _, m := range batch {
		m.Ack()
	}
	p.done.Add(int64(len(batch)))
}

// distinct is one message for each document. The resource is the event's
// subject, so that no JSON is read; what has none goes by the message's id.
func (p *prober) distinct(batch []*pubsub.Message) map[string]*pubsub.Message {
	documents := make(map[string]*pubsub.Message, len(batch))
	for _, m := range batch {
		id, ok := strings.CutPrefix(m.Attributes["ce-subject"], "thread/")
		if !ok {
			id = fmt.Sprintf("%019s", m.ID)
		}
		documents[p.database+"/documents/realtime_registry/thread__"+id] = m
	}
	return documents
}

// document has the fields of the worker's (registry/fsregistry), and a tenant of
// the same length.
func document(name string, attributes map[string]string) *firestorepb.Document {
	const tenant = "t_00000000"
	return &firestorepb.Document{Name: name, Fields: map[string]*firestorepb.Value{
		"tenant_id": text(tenant),
		"path":      array(text(tenant)),
		"history": array(&firestorepb.Value{ValueType: &firestorepb.Value_MapValue{MapValue: &firestorepb.MapValue{Fields: map[string]*firestorepb.Value{
			"type":   text("created"),
			"time":   text(attributes["ce-time"]),
			"source": text(attributes["ce-source"]),
			"id":     text(attributes["ce-id"]),
			"tenant": text(tenant),
		}}}}),
		"ledger": {ValueType: &firestorepb.Value_IntegerValue{}},
	}}
}

func text(s string) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_StringValue{StringValue: s}}
}

func array(values ...*firestorepb.Value) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_ArrayValue{ArrayValue: &firestorepb.ArrayValue{Values: values}}}
}

// newRaw is the client of the service's own interface, with as many connections
// as the worker's.
func newRaw(ctx context.Context) (*apiv1.Client, error) {
	return apiv1.NewClient(ctx,
		option.WithEndpoint(os.Getenv("FIRESTORE_EMULATOR_HOST")),
		option.WithoutAuthentication(),
		option.WithGRPCConnectionPool(4),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
		option.WithGRPCDialOption(grpc.WithPerRPCCredentials(owner{})))
}

// owner makes the emulator skip security rules.
type owner struct{}

func (owner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

func (owner) RequireTransportSecurity() bool { return false }
