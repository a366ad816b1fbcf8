// Package pubsubadmin is what the command line does to Pub/Sub: it creates
// topics and subscriptions (Provision), publishes events (Publisher), looks at
// dead letters and publishes them again (ListDeadLetters, Redrive), and rewinds
// subscriptions (Rewind). The worker's own loop is in events/consumer.
//
// Everything here may be repeated. Errors carry the name of the topic or
// subscription that they are about.
package pubsubadmin

import (
	"fmt"
	"strings"
)

// topicOfSubscription derives the topic from a subscription's name, which is
// {topic}.{consumer} (design §8).
func topicOfSubscription(name string) (string, error) {
	topic, consumer, ok := strings.Cut(shortName(name), ".")
	if !ok || topic == "" || consumer == "" {
		return "", fmt.Errorf("subscription %s: its name is not {topic}.{consumer}, so its topic is not known", name)
	}
	return topic, nil
}

func shortName(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
