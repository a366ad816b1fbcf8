package limits

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// maxPolicyFile bounds a policy file: some 70,000 policies, which every process
// holds in memory.
const maxPolicyFile = 4 << 20

// ReadPolicies reads and parses a policy file. Errors: of reading, and those of
// ParsePolicies.
func ReadPolicies(file string) (Policies, error) {
	policies, _, err := ReadPoliciesText(file)
	return policies, err
}

func ReadPoliciesText(file string) (policies Policies, text []byte, err error) {
	if text, err = readPolicyFile(file); err != nil {
		return Policies{}, nil, err
	}
	policies, err = ParsePolicies(file, text)
	return policies, text, err
}

// readPolicyFile reads a regular file whole. Nothing else can be read again, and
// a pipe would be waited for.
func readPolicyFile(file string) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe without a writer opens at once
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	defer f.Close()
	switch info, err := f.Stat(); {
	case err != nil:
		return nil, fmt.Errorf("read policies: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("read policies: %s is no regular file (%v): it is read again every %v", file, info.Mode().Type(), filePoll)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPolicyFile+1))
	if err == nil && len(text) > maxPolicyFile {
		err = errors.New("longer than 4 MiB: every process holds all policies in memory")
	}
	if err != nil {
		return nil, fmt.Errorf("read policies: %s: %w", file, err)
	}
	return text, nil
}
