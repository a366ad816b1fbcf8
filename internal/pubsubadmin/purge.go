package pubsubadmin

import (
	"context"
	"fmt"

	"cloud.google.com/go/pubsub/v2"
)

// PurgeOptions are the settings of Purge.
type PurgeOptions struct {
	Selection
	DryRun bool // discards nothing
	// Each is called for a letter before it is discarded, or would be; its error ends
	// the purge, and the letter stays. It may be nil.
	Each func(DeadLetter) error
}

// Purge discards the selected dead letters: they are acknowledged. The tally is of
// those that it discarded, or would.
func Purge(ctx context.Context, client *pubsub.Client, subscription string, opts PurgeOptions) (Tally, error) {
	var c counting
	extent, err := opts.visit(ctx, client, subscription, nil, func(batch []leased) (discard []string, err error) {
		for _, l := range batch {
			if opts.Each != nil {
				if err = opts.Each(l.letter); err != nil {
					break
				}
			}
			c.add(l.letter)
			discard = append(discard, l.ackID)
		}
		if opts.DryRun {
			return nil, err
		}
		return discard, err
	})
	if err != nil {
		err = fmt.Errorf("purge: %w", err)
	}
	return c.tally(extent), err
}
