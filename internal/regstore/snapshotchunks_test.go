package regstore_test

import (
	"path"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
)

// A worker that is held up after its snapshot is in place, and then deletes what is
// left of others, leaves alone what a later one has written meanwhile.
func TestAWriterThatWasHeldUpLeavesChunksOfLaterSnapshots(t *testing.T) {
	writes := func(c *docdbtest.Call, what string) bool {
		if len(c.Writes) == 0 {
			return false
		}
		id := path.Base(c.Writes[0].Name)
		switch what {
		case "lease":
			return id == "snapshot" && c.Writes[0].Fields["moves"] == nil
		case "chunks":
			return strings.HasPrefix(id, "snapshot.") && !c.Writes[0].Delete
		default:
			return id == "snapshot" && c.Writes[0].Fields["moves"] != nil
		}
	}
	for _, later := range []string{"lease", "chunks", "name"} { // has the other written, when the worker goes on
		t.Run(later, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSnapshots(t)
				s.move(5, "m")
				goOn, named := make(chan struct{}), false
				slow := s.open(docdbtest.Around(s.db, func(c *docdbtest.Call, do func() error) error {
					if named && c.Method == "Query" {
						<-goOn
					}
					named = named || writes(c, "name")
					return do()
				}))
				go func() {
					written, err := slow.WriteSnapshot(t.Context(), "slow")
					assert.NoError(t, err)
					assert.True(t, written)
				}()
				synctest.Wait()
				require.True(t, named)
				require.NotEmpty(t, s.documents("snapshot."))

				s.move(5, "n")
				other := s.open(docdbtest.Around(s.db, func(c *docdbtest.Call, do func() error) error {
					err := do()
					if writes(c, later) {
						close(goOn)
						synctest.Wait() // the slow one is done
					}
					return err
				}))
				written, err := other.WriteSnapshot(t.Context(), "other")
				require.NoError(t, err)
				require.True(t, written)
				s.requireWhole()
				require.NotContains(t, s.log.String(), "cannot be used")
				index := s.documents("snapshot")[0].Fields
				require.Len(t, s.documents("snapshot."), int(index["chunks"].GetIntegerValue()), "nothing is left of the slow one's")
			})
		})
	}
}

// A worker that is held up before it writes its chunks writes none once an erasure has
// dropped the snapshot: they have the ledger's names of before.
func TestAWriterThatWasHeldUpWritesNoChunksOfADroppedSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSnapshots(t)
		s.move(5, "m")
		goOn, ended := make(chan struct{}), make(chan error, 1)
		slow := s.open(docdbtest.Around(s.db, func(c *docdbtest.Call, do func() error) error {
			if c.Method == "Commit" && strings.HasPrefix(path.Base(c.Writes[0].Name), "snapshot.") {
				<-goOn
			}
			return do()
		}))
		go func() {
			_, err := slow.WriteSnapshot(t.Context(), "slow")
			ended <- err
		}()
		synctest.Wait()
		require.Empty(t, ended)
		require.NoError(t, s.open(s.db).DropSnapshot(t.Context()))
		close(goOn)
		require.Error(t, <-ended)
		require.Empty(t, s.documents("snapshot"))
	})
}

// A worker writes a snapshot while an erasure drops the one before: it is whole.
func TestASnapshotThatIsWrittenWhileTheOneBeforeIsDroppedIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSnapshots(t)
		s.move(5, "m")
		_, err := s.open(s.db).WriteSnapshot(t.Context(), "w")
		require.NoError(t, err)
		eraser := s.open(docdbtest.Around(s.db, func(c *docdbtest.Call, do func() error) error {
			err := do()
			if c.Method == "Commit" && path.Base(c.Writes[0].Name) == "snapshot" {
				written, err := s.open(s.db).WriteSnapshot(t.Context(), "other")
				require.NoError(t, err)
				require.True(t, written)
			}
			return err
		}))
		require.NoError(t, eraser.DropSnapshot(t.Context()))
		s.requireWhole()
		require.NotContains(t, s.log.String(), "cannot be used")
		require.Len(t, s.documents("snapshot."), int(s.documents("snapshot")[0].Fields["chunks"].GetIntegerValue()))
	})
}
