package main

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/pubsub/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/firestoreadmin/firestoreadmintest"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

// one returns the only finding.
func (d *doctor) one(t *testing.T) finding {
	t.Helper()
	require.Len(t, d.found, 1)
	return d.found[0]
}

// jobs is a registry with jobs of rewriting.
type jobs struct {
	registryStore
	pending, parked []ownership.LedgerEntry
	err             error
}

func (j jobs) PendingMoves(context.Context, int64, int) ([]ownership.LedgerEntry, error) {
	return j.pending, j.err
}
func (j jobs) ParkedMoves(context.Context, int64, int) ([]ownership.LedgerEntry, error) {
	return j.parked, nil
}

func job(id string, age time.Duration, r ownership.Rewriting) ownership.LedgerEntry {
	e := ownership.LedgerEntry{ChangedAt: time.Now().Add(-age), Rewriting: r}
	e.ID, e.Source = id, "//operator"
	return e
}

func TestTheDoctorSaysOfEachJobWhatHelpsIt(t *testing.T) {
	parked := ownership.Rewriting{ParkedAt: time.Now().Add(-time.Minute), Failure: "a document is too large", Tries: 8}
	for name, test := range map[string]struct {
		store  jobs
		what   string
		want   verdict
		detail string
		fix    string
	}{
		"nothing":    {jobs{}, "rewriting", fine, "nothing is to be rewritten", ""},
		"young":      {jobs{pending: []ownership.LedgerEntry{job("m", time.Second, ownership.Rewriting{})}}, "rewriting", fine, "1 job waits, the oldest for 1s (m)", ""},
		"old":        {jobs{pending: []ownership.LedgerEntry{job("m", 2*time.Hour, ownership.Rewriting{})}}, "rewriting", warning, "the oldest for 2h0m0s (m)", "registry-worker run"},
		"failing":    {jobs{pending: []ownership.LedgerEntry{job("m", time.Second, ownership.Rewriting{Tries: 2})}}, "rewriting", warning, "1 of them failed", "registry-worker moves list --state pending"},
		"parked":     {jobs{parked: []ownership.LedgerEntry{job("it's", time.Hour, parked)}}, "parked rewriting", wrong, "a document is too large", `registry-worker moves resume 'it'\''s' --source //operator`},
		"two parked": {jobs{parked: []ownership.LedgerEntry{job("m", 0, parked), job("n", 0, parked)}}, "parked rewriting", wrong, "2 jobs were given up", "registry-worker moves list --state parked"},
		"denied":     {jobs{err: status.Error(codes.PermissionDenied, "no")}, "rewriting", wrong, "no", "roles/datastore.user"},
	} {
		d := &doctor{}
		d.rewriting(t.Context(), test.store)
		f := d.found[0]
		require.Equal(t, test.what, f.What, name)
		require.Equal(t, test.want, f.Verdict, name)
		require.Contains(t, f.Detail, test.detail, name)
		require.Contains(t, f.Fix, test.fix, name)
		require.Equal(t, test.fix == "", f.Fix == "", name)
	}
}

func TestTheDoctorSaysHowLongEventsWaitAndUntilWhenLettersAreKept(t *testing.T) {
	for age, want := range map[time.Duration]verdict{time.Second: fine, 5 * time.Minute: warning} {
		d := &doctor{}
		d.waits("backlog", time.Now().Add(-age), nil)
		require.Equal(t, want, d.one(t).Verdict)
		require.Contains(t, d.one(t).Detail, age.String())
		require.Equal(t, want == fine, d.one(t).Fix == "")
	}
	d := &doctor{}
	d.waits("backlog", time.Time{}, errors.New("away"))
	require.Equal(t, unseen, d.one(t).Verdict)

	refused := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d = &doctor{}
	d.saysLetters(pubsubadmin.Tally{Total: 4000, Oldest: refused, Extent: pubsubadmin.Extent{More: true, Kept: 31 * 24 * time.Hour}}, nil)
	require.Equal(t, finding{warning, "dead letters", "4000 wait, and more; the oldest is deleted at 2026-02-01T00:00:00Z", "registry-worker dead-letters count"}, d.one(t))
	d = &doctor{}
	d.saysLetters(pubsubadmin.Tally{}, nil)
	require.Equal(t, fine, d.one(t).Verdict)
}

func TestTheDoctorLooksAtFieldsAndSaysWhoMay(t *testing.T) {
	examined := func(s *firestoreadmintest.Server) []finding {
		in, _ := onService(t, s)
		d := &doctor{invocation: in}
		d.fields(t.Context())
		return d.found
	}
	server := &firestoreadmintest.Server{}
	bare := examined(server)
	require.Greater(t, len(bare), 10)
	for _, f := range bare {
		require.Equal(t, wrong, f.Verdict, f.Detail)
		require.Equal(t, "registry-worker provision", f.Fix)
	}
	in, _ := onService(t, server)
	require.NoError(t, in.provisionFields(t.Context()))
	require.Equal(t, []finding{{fine, "fields", "indexes, exemptions and expiry are as they should be", ""}}, examined(server))
	denied := examined(&firestoreadmintest.Server{MayNotLook: true})
	require.Equal(t, unseen, denied[0].Verdict)
	require.Contains(t, denied[0].Fix, "roles/datastore.viewer")
}

// iam stands in for Pub/Sub's answers about permissions
// (https://docs.cloud.google.com/iam/docs/testing-permissions): those of the caller
// among those that are asked about.
type iam struct {
	iampb.UnimplementedIAMPolicyServer
	lacks map[string]bool // permissions
	fails codes.Code
}

func (s *iam) TestIamPermissions(_ context.Context, r *iampb.TestIamPermissionsRequest) (*iampb.TestIamPermissionsResponse, error) {
	if s.fails != codes.OK {
		return nil, status.Error(s.fails, r.Resource)
	}
	have := &iampb.TestIamPermissionsResponse{}
	for _, p := range r.Permissions {
		if !s.lacks[p] {
			have.Permissions = append(have.Permissions, p)
		}
	}
	return have, nil
}

// permitted runs the doctor's questions about permissions.
func permitted(t *testing.T, s *iam) map[string]finding {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	iampb.RegisterIAMPolicyServer(server, s)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	client, err := pubsub.NewClient(t.Context(), "p", option.WithEndpoint(listener.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	in, _ := onService(t, &firestoreadmintest.Server{})
	in.Config.Subscriptions, in.Config.DeadLetterTopic = []string{"threads"}, "letters"
	d := &doctor{invocation: in}
	d.permissions(t.Context(), client)
	found := map[string]finding{}
	for _, f := range d.found {
		found[f.Detail+" → "+f.Fix] = f
	}
	return found
}

func TestTheDoctorNamesTheRoleThatIsMissing(t *testing.T) {
	for _, f := range permitted(t, &iam{}) {
		require.Equal(t, fine, f.Verdict, f.Detail)
	}
	lacking := permitted(t, &iam{lacks: map[string]bool{"pubsub.subscriptions.consume": true, "pubsub.topics.publish": true, "pubsub.topics.get": true}})
	require.Equal(t, wrong, lacking["these credentials lack pubsub.subscriptions.consume → give roles/pubsub.subscriber and roles/pubsub.viewer on projects/p/subscriptions/threads"].Verdict, "%v", lacking)
	require.Equal(t, wrong, lacking["these credentials lack pubsub.topics.publish and pubsub.topics.get → give roles/pubsub.publisher and roles/pubsub.viewer on projects/p/topics/letters"].Verdict, "%v", lacking)
	for _, f := range permitted(t, &iam{fails: codes.Unauthenticated}) {
		require.Equal(t, unseen, f.Verdict, "what could not be asked is no fault: %s", f.Detail)
	}
	require.Empty(t, permitted(t, &iam{fails: codes.NotFound}), "it is said once, that there is no such subscription")
}

func TestTheDoctorSaysWhatADatabaseThatDoesNotAnswerNeeds(t *testing.T) {
	in, _ := onService(t, &firestoreadmintest.Server{})
	d := &doctor{invocation: in}
	for code, want := range map[codes.Code]string{
		codes.NotFound:         "gcloud firestore databases create --project p --database '(default)'",
		codes.PermissionDenied: "roles/datastore.user",
		codes.Unauthenticated:  "gcloud auth application-default login",
		codes.Internal:         "see the message",
	} {
		require.Contains(t, d.fixFirestore(status.Error(code, "no")), want, code)
	}
}

func TestTheDoctorSaysThatAnotherReleaseIsNeededForTheLedger(t *testing.T) {
	d := &doctor{}
	d.ledger(ownership.NewLedger(3, nil))
	require.Equal(t, fine, d.one(t).Verdict)
	unread := ownership.LedgerEntry{Document: "m", Unread: errors.New("format 9")}
	d = &doctor{}
	d.ledger(ownership.NewLedger(3, []ownership.LedgerEntry{unread}))
	require.Equal(t, wrong, d.one(t).Verdict)
	require.Contains(t, d.one(t).Fix, "docs/upgrades.md")
}
