package consumer

import (
	"context"
	"time"
)

// Message is what a Transport delivers. The consumer keeps it until it is
// settled, and changes nothing in it.
type Message struct {
	ID           string
	Subscription string // its short name
	Attributes   map[string]string
	Data         []byte
	PublishTime  time.Time
	Settler      Settler
}

// size is what a message counts for in the bounds on bytes.
func (m Message) size() int64 {
	n := len(m.Data)
	for k, v := range m.Attributes {
		n += len(k) + len(v)
	}
	return int64(n)
}

// Settler tells the transport what to do with a message. One of its methods is
// called, once.
type Settler interface {
	Ack()  // it is done: do not deliver it again
	Nack() // deliver it again
}

// Limits bound what a transport should fetch ahead of the consumer.
type Limits struct {
	Messages int
	Bytes    int64
}

// DeadLetter is a message for the dead-letter topic.
type DeadLetter struct {
	Attributes map[string]string
	Data       []byte
}

// Transport delivers messages and takes dead letters. PubSub is one.
type Transport interface {
	// Check returns an error that names all that is missing or does not answer.
	Check(ctx context.Context) error

	// Receive calls deliver for every message, from many goroutines, until ctx
	// ends; it may be blocked by deliver, and should then fetch no more than
	// the limits. The context that deliver gets ends when receiving ends. A
	// message that was not given to deliver by then is nacked.
	//
	// It returns when every message that was delivered is settled and the
	// settlements are sent: nil if ctx ended, else why receiving ended.
	Receive(ctx context.Context, limits Limits, deliver func(context.Context, Message)) error

	// Ready returns the faults of the connection that have lasted too long; nil if
	// there are none.
	Ready() error

	// DeadLetter publishes to the dead-letter topic. It returns nil only once
	// the topic has confirmed.
	DeadLetter(ctx context.Context, letter DeadLetter) error
}
