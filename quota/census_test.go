package quota_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/quota"
)

func TestATenantWithAHundredLiveActionsIsReported(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		reader, meters := newReader()
		options, log := logged(quota.Options{MeterProvider: meters, Policies: []quota.Policy{
			{Action: quota.TotalAction, Limit: 100_000, Window: time.Hour}, {Limit: 1000, Window: time.Hour},
		}})
		l := limiter(t, newStage(), options)
		actions := func(tenant string, n int) {
			for i := range n {
				_, err := l.AllowN(t.Context(), tenant, fmt.Sprint("a", i), 2) // one is held, so that the key stays
				require.NoError(t, err)
			}
		}
		reported := func() int { return strings.Count(log.String(), "many live actions") }
		const crowded = "quota.tenants.crowded"
		pass := func() {
			time.Sleep(35 * time.Second) // two rounds
			synctest.Wait()
		}
		for i := range 500 {
			actions(fmt.Sprint("t_", i), 3)
		}
		actions("t_many", 99)
		pass()
		require.Zero(t, reported(), log)
		require.Zero(t, reader.sum(t, crowded))

		for range 20 { // twenty minutes of it
			actions("t_many", 100)
			pass()
		}
		require.Equal(t, 1, reported(), log)
		require.Contains(t, log.String(), "tenant_id=t_many actions=100")
		require.EqualValues(t, 1, reader.sum(t, crowded))

		time.Sleep(2 * time.Hour)
		synctest.Wait()
		require.Zero(t, reader.sum(t, crowded), "they are not live any more")
		actions("t_many", 100)
		pass()
		require.Equal(t, 2, reported(), "again after an hour")
	})
}

func TestManyTenantsWithManyActionsAreFewLines(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		reader, meters := newReader()
		options, log := logged(quota.Options{MeterProvider: meters})
		l := limiter(t, newStage(), options)
		for tenant := range 30 {
			for i := range 120 {
				_, err := l.Allow(t.Context(), fmt.Sprint("t_", tenant), fmt.Sprint("a", i))
				require.NoError(t, err)
			}
		}
		time.Sleep(40 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 30, reader.sum(t, "quota.tenants.crowded"))
		require.Equal(t, 10, strings.Count(log.String(), "many live actions"), log)
		require.Contains(t, log.String(), "tenants=30")
	})
}
