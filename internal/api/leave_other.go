//go:build !linux

package api

import (
	"errors"
	"net"
)

func dropNewcomers(net.Listener) error { return errors.ErrUnsupported }

func waiting(net.Listener) (int, error) { return 0, errors.ErrUnsupported }
