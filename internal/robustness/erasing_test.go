//go:build proofs

package robustness

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/iterator"

	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// erase erases one tenant after the other, once every process is of this release, until
// the context ends: one at least. Every other command is killed at some moment, and run
// again.
func (x *installation) erase(ctx context.Context) {
	<-x.ofOneRelease
	for n := 0; n == 0 || ctx.Err() == nil; n++ {
		tenant := x.world.leave()
		if tenant == "" {
			return
		}
		if n%2 == 0 {
			killed, cancel := context.WithTimeout(context.Background(), time.Duration(1000+x.world.chance(20_000))*time.Millisecond)
			x.eraseOnce(killed, tenant)
			cancel()
		}
		for deadline := time.Now().Add(5 * time.Minute); !x.eraseOnce(context.Background(), tenant) && time.Now().Before(deadline); {
			time.Sleep(time.Second)
		}
		sleep(ctx, 5*time.Second)
	}
}

// eraseOnce runs the command, to its end unless the context kills it, and reports whether
// it succeeded. The documents of a move that names the tenant may have to follow first.
func (x *installation) eraseOnce(ctx context.Context, tenant string) bool {
	r := judge.Record{Type: judge.Operator, Kind: judge.Erase, At: now(), Tenant: tenant, Command: []string{"tenants", "erase", "--yes", "--json", "--rate", "unlimited", tenant}}
	code, out, stderr := x.command(ctx, r.Command...)
	if strings.Contains(stderr, "the rewriting after a move that concerns the tenant has not ended") {
		return false // it has changed nothing
	}
	r.Until, r.Status, r.Detail = now(), code, stderr
	if code == 0 {
		var report struct {
			Pseudonym string `json:"pseudonym"`
		}
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			x.t.Errorf("%v: %v: %s", r.Command, err, out)
		}
		r.Name = report.Pseudonym
		x.erased = append(x.erased, tenant)
	}
	x.history.record(r)
	return code == 0
}

// named looks for the names of erased tenants in all that the database has.
func (x *installation) named() {
	direct := x.project
	direct.FirestoreHost = x.project.FirestoreRules.Target()
	client, err := firestore.NewClient(context.Background(), x.project.ID, direct.FirestoreOptions()...)
	require.NoError(x.t, err)
	defer client.Close()
	for collections := client.Collections(context.Background()); ; {
		c, err := collections.Next()
		if err == iterator.Done {
			return
		}
		require.NoError(x.t, err)
		documents, err := c.Documents(context.Background()).GetAll()
		require.NoError(x.t, err)
		for _, d := range documents {
			text := fmt.Sprint(d.Data())
			for _, tenant := range x.erased {
				if strings.Contains(text, tenant) || strings.Contains(d.Ref.ID, tenant) {
					x.history.record(judge.Record{Type: judge.Named, At: now(), Tenant: tenant, Resource: c.ID + "/" + d.Ref.ID})
				}
			}
		}
	}
}
