package verifier_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

const owned = 10_000

func threadID(i int) string { return fmt.Sprintf("thread_%08x-9f1c-4d7e-8a2b", i) }
func tenantID(i int) string { return fmt.Sprintf("t_%08x", i%1000) }

// BenchmarkCheck asks for what is in memory: ten thousand threads, each by its
// owner. Casbin's cached enforcer holds decisions for ever, until somebody tells
// it; the verifier's answers are certified to be at most MaxStaleness old.
func BenchmarkCheck(b *testing.B) {
	for name, check := range map[string]func(*testing.B) func(tenant, thread string) bool{
		"verifier": ours, "casbin-cached-enforcer": casbinCached,
	} {
		b.Run(name, func(b *testing.B) {
			check := check(b)
			tenants, threads := make([]string, owned), make([]string, owned)
			for i := range owned {
				tenants[i], threads[i] = tenantID(i), threadID(i)
				if !check(tenants[i], threads[i]) {
					b.Fatal("refused")
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i = (i + 7919) % owned {
					if !check(tenants[i], threads[i]) {
						b.Error("refused")
						return
					}
				}
			})
		})
	}
}

func ours(b *testing.B) func(tenant, thread string) bool {
	store := memregistry.New()
	v, err := verifier.New(store, verifier.Options{MaxStaleness: time.Minute, MaxAge: verifier.Unbounded})
	must(b, err)
	b.Cleanup(v.Close)
	for i := range owned {
		must(b, registry.New(store).RegisterThread(b.Context(), tenantID(i), threadID(i)))
	}
	ctx := b.Context()
	return func(tenant, thread string) bool { return v.VerifyThreadAccess(ctx, tenant, thread) == nil }
}

func casbinCached(b *testing.B) func(tenant, thread string) bool {
	m, err := model.NewModelFromString(`
[request_definition]
r = sub, obj
[policy_definition]
p = sub, obj
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj
`)
	must(b, err)
	e, err := casbin.NewCachedEnforcer(m)
	must(b, err)
	for i := range owned {
		// One policy at a time would be asked for alone; the cache is what is
		// measured, so it is filled while there is only one.
		_, err := e.AddPolicy(tenantID(i), threadID(i))
		must(b, err)
		_, err = e.Enforce(tenantID(i), threadID(i))
		must(b, err)
		_, err = e.Enforcer.RemovePolicy(tenantID(i), threadID(i)) // the decision stays cached
		must(b, err)
	}
	return func(tenant, thread string) bool {
		ok, err := e.Enforce(tenant, thread)
		return ok && err == nil
	}
}
