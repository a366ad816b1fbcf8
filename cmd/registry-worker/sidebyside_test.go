package main

import (
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// lastRelease is the commit of the release before this one: that which this one
// runs beside (docs/upgrades.md says when it is changed).
//
//go:embed testdata/last-release
var lastRelease string

// What the next release may bring: a type of entries, with a format, and a field
// of its own in documents, ledger entries and windows.
var next = []emulatortest.Edit{
	{File: "internal/ownership/format.go", Old: "const Format = 3\n", New: "const Format = 4\n"},
	{File: "internal/ownership/format.go", Old: "Claimed: 1,", New: "Claimed: 4,"},
	{File: "internal/ownership/history.go", Old: `EntryType = "claimed"`, New: `EntryType = "pledged"`},
	{File: "internal/regstore/codec.go", Old: "fieldLedger:   docdb.Integer(u.LedgerPosition),", New: `fieldLedger: docdb.Integer(u.LedgerPosition), "region": docdb.Text("eu"),`},
	{File: "internal/regstore/codec.go", Old: "fieldClaimEvent, fieldFormat, fieldExpiresAt}", New: `fieldClaimEvent, fieldFormat, fieldExpiresAt, "region"}`},
	{File: "internal/regstore/ledgerentry.go", Old: "fields[fieldFormat] = docdb.Integer(entryFormat)", New: `fields[fieldFormat], fields["region"] = docdb.Integer(entryFormat), docdb.Text("eu")`},
	{File: "internal/regstore/ledgerentry.go", Old: "fieldRetractions, fieldFormat,", New: `fieldRetractions, fieldFormat, "region",`},
	{File: "internal/quotastore/codec.go", Old: "expiresAtField:  docdb.Timestamp(c.ExpiresAt),", New: `expiresAtField: docdb.Timestamp(c.ExpiresAt), "region": docdb.Text("eu"),`},
	{File: "internal/quotastore/codec.go", Old: "generationField, expiresAtField, formatField, sharingField}\n\tresetFields", New: "generationField, expiresAtField, formatField, sharingField, \"region\"}\n\tresetFields"},
}

// In both orders: an installation that is upgraded, and one that the next release
// has made and that goes back.
func TestTheLastReleaseRunsBesideTheNext(t *testing.T) {
	t.Parallel() // it mostly waits
	last, next := emulatortest.Release(t, strings.TrimSpace(lastRelease)), emulatortest.Edited(t, next...)
	for name, begins := range map[string]string{"begun by the last": last, "begun by the next": next} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, sideBySide(t, begins, last, next))
		})
	}
}

const side = 8 // resources of each sort

// each makes a line for each of a sort of resources.
func each(sort string, line func(i int, id string) string) (lines []string) {
	for i := range side {
		lines = append(lines, line(i, fmt.Sprint(sort, i)))
	}
	return lines
}

func creationsOf(sort, tenant string) []string {
	return each(sort, func(_ int, id string) string { return created("created-"+id, "2024-01-01T00:00:00Z", tenant, id) })
}

func movesOf(sort, id string, day int, from, to string) []string {
	return each(sort, func(_ int, thread string) string {
		return event(id+thread, "nexus.tenant.moved.v1", fmt.Sprintf("2024-01-%02dT00:00:00Z", day),
			fmt.Sprintf(`{"from_tenant_id":%q,"to_tenant_id":%q,"resources":[{"kind":"thread","id":%q}]}`, from, to, thread))
	})
}

// sideBySide runs two programs on one registry that one of them has begun, one
// after the other and at once, and returns what was lost or overwritten.
func sideBySide(t *testing.T, begins, lastBinary, nextBinary string) error {
	c := onEmulators(t)
	last, next := c.by(lastBinary), c.by(nextBinary)
	c.run(exitDone, "provision")
	serve := func(p program) (string, func()) {
		worker, url := p.service("run", "--api", "--lease", "10s")
		return url, func() {
			worker.Signal(syscall.SIGTERM)
			require.Equal(t, exitDone, worker.Wait(30*time.Second))
		}
	}
	publish := func(lines ...[]string) {
		for _, l := range lines {
			c.run(exitDone, "publish", write(t, l...))
		}
	}
	owned := func(sort, tenant string) {
		t.Helper()
		require.Eventually(t, func() bool {
			n := 0
			for name, fields := range rawDocuments(t, c, "realtime_registry") {
				if strings.HasPrefix(name, "thread__"+sort) && fields["tenant_id"] == tenant {
					n++
				}
			}
			return n == side
		}, time.Minute, 50*time.Millisecond, "%s is %s's", sort, tenant)
	}
	take := func(url string) {
		t.Helper()
		require.Equal(t, http.StatusNoContent, do(t, http.MethodPost, url+"/v1/quota/send/take", "t_window"))
	}

	url, stop := serve(c.by(begins)) // one release alone
	publish(creationsOf("old_", "t_old"))
	owned("old_", "t_old")
	take(url)
	stop()

	url, stop = serve(next) // forth
	publish(creationsOf("new_", "t_new"), movesOf("old_", "forth", 3, "t_old", "t_forth"), []string{tenantMoved("whole", "2024-01-02T00:00:00Z", "t_gone", "t_here")})
	owned("new_", "t_new")
	owned("old_", "t_forth")
	require.Eventually(t, func() bool { return len(rawDocuments(t, c, "realtime_registry_ledger")) == 1 }, time.Minute, 50*time.Millisecond)
	for i := range side {
		require.Equal(t, http.StatusCreated, do(t, http.MethodPut, fmt.Sprint(url, "/v1/threads/claim_", i), "t_claim"))
	}
	take(url)
	stop()
	claims := rawDocuments(t, c, "realtime_registry")

	url, stop = serve(last) // back: claims and their own events, again and again
	publish(creationsOf("claim_", "t_claim"), creationsOf("claim_", "t_claim"), movesOf("new_", "back", 4, "t_new", "t_back"), movesOf("old_", "back", 4, "t_forth", "t_again"))
	owned("new_", "t_back")
	owned("old_", "t_again")
	var lost []error
	require.Eventually(t, func() bool { // it met them, and left them alone
		lost = alike(claims, rawDocuments(t, c, "realtime_registry"), "thread__claim_")
		return len(lost) > 0 || sum(t, url, "registry_too_new_total") > 0
	}, time.Minute, 50*time.Millisecond)
	if code := get(t, url+"/v1/threads/claim_0/access", "t_claim"); code != http.StatusServiceUnavailable {
		lost = append(lost, fmt.Errorf("pledged: a check that cannot be decided is answered %d", code))
	}
	if len(lost) > 0 {
		return errors.Join(lost...)
	}
	take(url)
	last.run(exitDone, "moves", "retract", "whole", "--yes")

	if begins == nextBinary { // forth again: the last joins what runs
		stop()
	}
	urlNext, stopNext := serve(next) // side by side
	if begins == nextBinary {
		url, stop = serve(last)
	}
	publish(movesOf("claim_", "beside", 5, "t_claim", "t_beside"), creationsOf("new_", "t_new"), creationsOf("claim_", "t_claim"), creationsOf("more_", "t_more"))
	owned("claim_", "t_beside")
	owned("more_", "t_more")
	require.Eventually(t, func() bool {
		list := next.run(exitDone, "moves", "list", "--json").Stdout.String()
		return strings.Contains(list, `"state":"done"`) && strings.Contains(list, `"retracted":true`)
	}, time.Minute, time.Second, "rewriting ends")
	require.Zero(t, sum(t, url, "registry_dead_letters_total")+sum(t, urlNext, "registry_dead_letters_total"))
	stop()
	stopNext()
	next.run(exitDone, "export", "--check")
	require.Contains(t, next.run(exitDone, "upgrade", "--finish", "--yes").Stderr.String(), "is finished")
	require.Contains(t, last.run(exitFault, "export").Stderr.String(), "use a later release", "no way back")

	now := rawDocuments(t, c, "realtime_registry")
	for i := range side {
		if !strings.Contains(fmt.Sprint(now[fmt.Sprint("thread__claim_", i)]["history"]), "pledged") {
			lost = append(lost, fmt.Errorf("claim %d: no pledged entry any more", i))
		}
	}
	lost = append(lost, kept(now, "thread__new_", "thread__old_")...)
	lost = append(lost, kept(rawDocuments(t, c, "realtime_registry_ledger"), "")...)
	return errors.Join(append(lost, kept(rawDocuments(t, c, "rate_limit_counters"), "t_window")...)...)
}

// rawDocuments are all documents of a collection, except those of the ledger that
// are no entries.
func rawDocuments(t *testing.T, c program, collection string) map[string]map[string]any {
	t.Helper()
	client, err := firestore.NewClient(t.Context(), c.project.ID, c.project.FirestoreOptions()...)
	require.NoError(t, err)
	defer client.Close()
	all, err := client.Collection(collection).Documents(t.Context()).GetAll()
	require.NoError(t, err)
	found := map[string]map[string]any{}
	for _, d := range all {
		if collection != "realtime_registry_ledger" || d.Data()["source"] != nil {
			found[d.Ref.ID] = d.Data()
		}
	}
	return found
}

// alike returns which documents whose names begin so have changed.
func alike(before, after map[string]map[string]any, prefix string) (lost []error) {
	for name, fields := range before {
		if strings.HasPrefix(name, prefix) && fmt.Sprint(fields) != fmt.Sprint(after[name]) {
			lost = append(lost, fmt.Errorf("%s was %v (pledged), and is %v", name, fields, after[name]))
		}
	}
	return lost
}

// kept returns which documents whose names begin so lack the next release's field.
func kept(all map[string]map[string]any, prefixes ...string) (lost []error) {
	for name, fields := range all {
		for _, prefix := range prefixes {
			if strings.HasPrefix(name, prefix) && fields["region"] != "eu" {
				lost = append(lost, fmt.Errorf("%s has no region any more: %v", name, fields))
			}
		}
	}
	return lost
}
