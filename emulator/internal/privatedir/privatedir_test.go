package privatedir_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/internal/privatedir"
)

func TestADirectoryThatOthersHavePreparedIsRefused(t *testing.T) {
	cache, temporary := t.TempDir(), t.TempDir()
	for name, env := range map[string][3]string{"cache": {cache, "", ""}, "no cache": {"", "", temporary}} {
		t.Run(name, func(t *testing.T) {
			for i, variable := range []string{"XDG_CACHE_HOME", "HOME", "TMPDIR"} {
				t.Setenv(variable, env[i])
			}
			dir, err := privatedir.Make("x")
			require.NoError(t, err)
			again, err := privatedir.Make("x")
			require.NoError(t, err)
			require.Equal(t, dir, again)
			info, err := os.Stat(dir)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o700), info.Mode().Perm())

			require.NoError(t, os.Chmod(dir, 0o777))
			_, err = privatedir.Make("x")
			require.ErrorContains(t, err, dir)

			require.NoError(t, os.Remove(dir))
			elsewhere := filepath.Join(t.TempDir(), "elsewhere")
			require.NoError(t, os.Mkdir(elsewhere, 0o700))
			require.NoError(t, os.Symlink(elsewhere, dir))
			_, err = privatedir.Make("x")
			require.ErrorContains(t, err, dir, "a link leads where others like")
		})
	}
}
