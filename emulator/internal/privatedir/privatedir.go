// Package privatedir makes permanent directories that no other user of the machine
// can have prepared. So the programs and locks in them are ours.
package privatedir

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Make returns the directory of that name below the user's cache directory, or,
// if the user has none, below the temporary directory. It makes it if it is not
// there, and refuses one that is a link, another user's, or open to others.
func Make(name string) (string, error) {
	parent, err := os.UserCacheDir()
	if err != nil {
		parent = os.TempDir()
		name = fmt.Sprintf("realtime-registry-%d-%s", os.Getuid(), name)
	} else {
		parent = filepath.Join(parent, "realtime-registry")
	}
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	dir := filepath.Join(parent, name)
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return "", err
	}
	return dir, check(dir)
}

func check(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(owner.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is %v of user %d: want a directory of this user's that is closed to others; remove it", dir, info.Mode(), owner.Uid)
	}
	return nil
}
