package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
)

// confirm asks, unless --yes was given. Anything but yes is an error.
func (in *invocation) confirm(question string) error {
	if in.Config.Yes {
		return nil
	}
	fmt.Fprintf(in.Stderr, "%s Type yes to go on (or give --yes): ", question)
	answer, _ := bufio.NewReader(in.Stdin).ReadString('\n')
	if !strings.EqualFold(strings.TrimSpace(answer), "yes") {
		return errors.New("not confirmed; nothing was changed")
	}
	return nil
}
