package consumer

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// counted settles into a wait group.
type counted struct{ *sync.WaitGroup }

func (c counted) Ack()  { c.Done() }
func (c counted) Nack() { panic("nacked") }

// pump is a transport that delivers from a few goroutines, as streams do.
type pump struct {
	*line
	feed chan Message
}

func (p pump) Receive(ctx context.Context, _ Limits, deliver func(context.Context, Message)) error {
	for range 16 {
		go func() {
			for m := range p.feed {
				deliver(ctx, m)
			}
		}()
	}
	<-ctx.Done()
	return nil
}

// BenchmarkConsumer is what the loop itself costs per event, with metrics, from
// delivery to ack, over a store that does nothing.
func BenchmarkConsumer(b *testing.B) {
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	p := pump{newLine(), make(chan Message, 1000)}
	c, err := New(each(applied), p, Options{MeterProvider: meters})
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go func() { _ = c.Run(ctx) }()

	messages := make([]Message, 1000)
	var unsettled sync.WaitGroup
	for i := range messages {
		messages[i] = created("t_a", fmt.Sprintf("th_%d", i))
		messages[i].PublishTime = time.Now()
		messages[i].Settler = counted{&unsettled}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		unsettled.Add(1)
		p.feed <- messages[i%len(messages)]
	}
	unsettled.Wait()
}
