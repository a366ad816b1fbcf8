package main

import (
	"net"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/internal/console"
)

// addConsole adds the console to the server, if it is enabled.
func (s *service) addConsole(o *api.Options) error {
	if !s.wantsConsole() {
		return nil
	}
	name := "API"
	if o.Worker != nil {
		name = "API and worker"
	}
	throttled := console.NewThrottled()
	s.look = &consoleLook{service: s}
	page, err := console.New(console.Options{
		Name:         name,
		Target:       s.consoleTarget(),
		Version:      buildVersion().Version,
		Look:         s.look,
		Gatherer:     s.telemetry.Gatherer,
		Worker:       o.Worker,
		Throttled:    throttled,
		MaxStaleness: s.in.Config.MaxStaleness,
		Peers:        s.in.Config.ConsolePeers,
		Logger:       s.in.Logger,
	})
	if err != nil {
		return err
	}
	for _, route := range page.Routes() {
		o.Console = append(o.Console, api.Page(route))
	}
	o.Quota = throttled.Take(o.Quota)
	o.Admit = throttled.Admit(o.Admit)
	return nil
}

// wantsConsole reports whether the console is served: on loopback, or on any
// address if asked for.
func (s *service) wantsConsole() bool {
	switch s.in.Config.Console {
	case config.ConsoleOn:
		return true
	case config.ConsoleOff:
		return false
	}
	at, ok := s.listener.Addr().(*net.TCPAddr)
	return ok && at.IP.IsLoopback()
}

// consoleURL returns the console's address; "" if it is not served.
func (s *service) consoleURL() string {
	if s.look == nil {
		return ""
	}
	return "http://" + s.listener.Addr().String() + "/console"
}

func (s *service) consoleTarget() string {
	if s.in.Config.RegistryBackend == config.Memory {
		return "the memory of this process"
	}
	return s.in.firestoreTarget().String()
}
