package regstore

import (
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// A release that does not know the field keeps it when it writes the history.
func TestTheEventOfAClaimThatHasBeenReplacedIsNotThatOfTheOtherClaim(t *testing.T) {
	r := registry.Resource{Kind: registry.Thread, ID: "th_1"}
	claim := ownership.ClaimEntry("t_a", r, time.Unix(9, 0))
	claim.Event = ownership.EventName{Source: "//nexus", ID: "e"}
	document := func(h ownership.History) *docdb.Document {
		fields := encode(ownership.Update{TenantID: "t_a", Path: []string{"t_a"}, History: h, Format: 1}, nil)
		return &docdb.Document{Name: r.DocumentID(), Fields: fields, UpdateTime: timestamppb.Now()}
	}
	d := document(ownership.History{claim})
	require.Equal(t, claim.Event, decode(d).History[0].Event)

	other := document(ownership.History{ownership.ClaimEntry("t_a", r, time.Unix(8, 0))})
	other.Fields[fieldClaimEvent] = d.Fields[fieldClaimEvent]
	require.Zero(t, decode(other).History[0].Event)

	for _, damaged := range []*firestorepb.Value{docdb.Text("x"), docdb.Integer(1), docdb.Map(nil)} {
		d.Fields[fieldClaimEvent] = damaged
		require.NoError(t, decode(d).Unread, "it is for people")
		require.Zero(t, decode(d).History[0].Event)
	}
}
