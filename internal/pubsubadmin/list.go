package pubsubadmin

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"cloud.google.com/go/pubsub/v2"
)

// listBytes bounds the bodies of letters in a list. Messages have up to 10 MB.
const listBytes = 64 << 20

// defaultListed is the Limit of a list that has none.
const defaultListed = 1000

// ListDeadLetters returns the selected dead letters, the oldest first. They are
// 1,000 if there is no Limit, and about 64 MiB of bodies at most: which ones of
// more is for Pub/Sub to choose, and Extent.More says so.
//
// It consumes none: they are leased for as long as it runs, so that others do not
// see them, and released at its end. If the process is killed they come back when
// their lease ends, within 20 s.
func ListDeadLetters(ctx context.Context, client *pubsub.Client, subscription string, which Selection) ([]DeadLetter, Extent, error) {
	which.Limit = cmp.Or(which.Limit, defaultListed)
	var letters []DeadLetter
	bytes, full := 0, false
	extent, err := which.visit(ctx, client, subscription, nil, func(batch []leased) ([]string, error) {
		for _, l := range batch {
			if bytes += len(l.letter.Data); bytes > listBytes && len(letters) > 0 {
				full = true
				return nil, errEnough
			}
			letters = append(letters, l.letter)
		}
		return nil, nil
	})
	extent.More = extent.More || full
	slices.SortFunc(letters, func(a, b DeadLetter) int {
		return cmp.Or(a.RefusedAt.Compare(b.RefusedAt), cmp.Compare(a.MessageID, b.MessageID))
	})
	if err != nil {
		err = fmt.Errorf("list dead letters: %w", err)
	}
	return letters, extent, err
}
