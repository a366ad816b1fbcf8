package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/console"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The most that one look of the console reads.
const (
	mostMoves   = 50  // moves, a read each
	mostWindows = 100 // documents of windows, two reads each
	mostPending = 20  // moves under way, and as many that are parked, a read each, every ten seconds
	mostLetters = 500 // dead letters, which are leased meanwhile
)

// A look at dead letters ends when none has come for idleLook, and at the latest
// after longestLook: as long as events are refused, letters keep coming.
const (
	idleLook    = 3 * time.Second
	longestLook = 8 * time.Second
)

// consoleLook answers the console's questions with the service's own connections.
// It returns what the commands print with --json.
type consoleLook struct {
	service *service

	mu     sync.Mutex
	pubsub *pubsub.Client // nil until dead letters are looked at
}

// Inspect implements console.Look.
func (l *consoleLook) Inspect(ctx context.Context, resource registry.Resource) (any, error) {
	return inspectNow(ctx, l.service.store, resource)
}

// Moves implements console.Look. It reads the ledger's head, and each move that is
// shown; this process knows which moves a tenant has.
func (l *consoleLook) Moves(ctx context.Context, tenant string) (any, error) {
	store := l.service.store
	now, err := store.Read(ctx, nil)
	if err != nil {
		return nil, err
	}
	position := now.Ledger.Position()
	found := movesPage{Position: position, ReadTime: now.ReadTime}
	var moves []ownership.LedgerEntry
	if tenant == "" {
		moves, err = store.MovesBetween(ctx, max(0, position-mostMoves), position)
		found.More = position > mostMoves
	} else {
		names := latestOf(now.Ledger, tenant)
		moves, err = store.MovesNamed(ctx, names)
		found.More = len(names) == mostMoves
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(moves, func(a, b ownership.LedgerEntry) int { return cmp.Compare(b.Position, a.Position) })
	found.Moves = listMoves(moves)
	return found, nil
}

// latestOf returns the names of the moves to or from a tenant that changed last.
func latestOf(ledger *ownership.Ledger, tenant string) []ownership.EventName {
	var all []ownership.Move
	for m := range ledger.Moves() {
		if m.From == tenant || m.To == tenant {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b ownership.Move) int { return cmp.Compare(b.Position, a.Position) })
	var names []ownership.EventName
	for _, m := range all[:min(len(all), mostMoves)] {
		names = append(names, m.EventName())
	}
	return names
}

// Move implements console.Look.
func (l *consoleLook) Move(ctx context.Context, name ownership.EventName) (any, error) {
	moves, err := l.service.store.MovesNamed(ctx, []ownership.EventName{name})
	if err != nil {
		return nil, err
	}
	return movesPage{Moves: listMoves(moves)}, nil
}

// movesPage has the moves that changed last, the latest change first.
type movesPage struct {
	Moves    []listedMove `json:"moves"`
	More     bool         `json:"more"` // there may be earlier ones
	Position int64        `json:"position"`
	ReadTime time.Time    `json:"read_time"`
}

func listMoves(moves []ownership.LedgerEntry) []listedMove {
	listed := []listedMove{}
	for _, m := range moves {
		listed = append(listed, newListedMove(m))
	}
	return listed
}

// Pending implements console.Look.
func (l *consoleLook) Pending(ctx context.Context) (any, error) {
	parked, err := l.service.store.ParkedMoves(ctx, 0, mostPending)
	if err != nil {
		return nil, err
	}
	moves, err := l.service.store.PendingMoves(ctx, 0, mostPending)
	return listMoves(append(parked, moves...)), err
}

// windowsPage has the windows of a tenant.
type windowsPage struct {
	Windows []windowReport `json:"windows"`
	More    bool           `json:"more"` // there may be others
}

// Windows implements console.Look.
func (l *consoleLook) Windows(ctx context.Context, tenant string) (any, error) {
	windows := l.service.throttle.windows
	store, ok := windows.(interface {
		TenantActions(ctx context.Context, tenant string, limit int) (actions []string, more bool, err error)
	})
	if !ok {
		return nil, fmt.Errorf("%T cannot list the windows of a tenant", windows)
	}
	actions, more, err := store.TenantActions(ctx, tenant, mostWindows)
	if err != nil {
		return nil, err
	}
	found := windowsPage{Windows: []windowReport{}, More: more}
	policies := l.service.throttle.Policies()
	for _, action := range actions {
		status, err := limits.Show(ctx, windows, policies, limits.Key{Tenant: tenant, Action: action})
		if err != nil {
			return nil, err
		}
		found.Windows = append(found.Windows, newWindowReport(status, policies.Of(status.Key)))
	}
	return found, nil
}

// lettersPage has the waiting dead letters, the oldest first.
type lettersPage struct {
	Letters      []consoleLetter          `json:"letters"`
	More         bool                     `json:"more"` // there are others
	Next         map[events.Reason]string `json:"next"` // what to do, by reason
	Subscription string                   `json:"subscription"`
	At           time.Time                `json:"at"`
}

// consoleLetter is a dead letter without its body, which may be large.
type consoleLetter struct {
	pubsubadmin.DeadLetter
	Attributes any `json:"attributes,omitempty"`
	Data       any `json:"data,omitempty"`
}

// DeadLetters implements console.Look, as `dead-letters list` does.
func (l *consoleLook) DeadLetters(ctx context.Context) (any, error) {
	client, err := l.openPubSub(ctx)
	if err != nil {
		return nil, err
	}
	in := l.service.in
	looking, enough := context.WithTimeout(ctx, longestLook)
	defer enough()
	letters, extent, err := pubsubadmin.ListDeadLetters(looking, client, in.Config.DeadLetterTopic,
		pubsubadmin.Selection{Limit: mostLetters, Idle: idleLook})
	if len(letters) > 0 && looking.Err() != nil && ctx.Err() == nil { // they come faster than they can be read
		err, extent.More = nil, true
	}
	if err != nil {
		return nil, in.explainPubSub(err)
	}
	found := lettersPage{Letters: []consoleLetter{}, More: extent.More, Next: nextOf, Subscription: in.Config.DeadLetterTopic, At: time.Now().UTC()}
	for _, letter := range letters {
		found.Letters = append(found.Letters, consoleLetter{DeadLetter: letter})
	}
	return found, nil
}

// openPubSub returns the console's own client, which the first look opens.
func (l *consoleLook) openPubSub(ctx context.Context) (*pubsub.Client, error) {
	if l.service.noPubSub {
		return nil, console.ErrNoDeadLetters
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pubsub != nil {
		return l.pubsub, nil
	}
	client, err := l.service.in.openPubSub(ctx)
	if err != nil {
		return nil, err
	}
	l.pubsub = client
	return client, nil
}

func (l *consoleLook) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pubsub != nil {
		_ = l.pubsub.Close() // nothing waits to be sent
	}
}
