package consumer

import (
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
)

// rules make the rules of a message.
type rules struct {
	known        []string
	accept       map[string][]string // by subscription
	sources      map[string][]string // by type
	skew, oldest time.Duration
}

func newRules(o Options) rules {
	r := rules{known: names(events.PublishedTypes()), accept: map[string][]string{}, sources: map[string][]string{}, skew: o.MaxClockSkew, oldest: o.MaxEventAge}
	for subscription, types := range o.Accept {
		r.accept[subscription] = names(types)
	}
	for t, patterns := range o.Sources {
		r.sources[string(t)] = patterns
	}
	return r
}

func names(types []events.Type) []string {
	var all []string
	for _, t := range types {
		all = append(all, string(t))
	}
	return all
}

// of returns the rules of the message's subscription, at the time when it was
// published.
func (r rules) of(m Message) envelope.Rules {
	of := envelope.Rules{Known: r.known, Types: r.accept[m.Subscription], Sources: r.sources, NotAfter: m.PublishTime.Add(r.skew)}
	if r.oldest > 0 {
		of.NotBefore = m.PublishTime.Add(-r.oldest)
	}
	return of
}

// decode reads a message's event.
func decode(r envelope.Rules, attributes map[string]string, data []byte) (events.Event, error) {
	e, err := r.Decode(attributes, data)
	if err != nil {
		return events.Event{}, err
	}
	return events.Of(e)
}
