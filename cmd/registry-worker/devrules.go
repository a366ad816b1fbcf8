package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/northstar-engines/realtime-registry/deploy"
	"github.com/northstar-engines/realtime-registry/emulator/wire/rules"
)

// putRulesBefore puts the services' rules before the emulators that the environment
// names, and names the rules there in their place. So they hold for this process,
// and for those that use the addresses of the page. The caller calls the returned
// function at the end.
func (d *devRun) putRulesBefore() (end func() error, err error) {
	end = func() error { return nil }
	if !d.in.Config.ServiceRules && d.in.Config.RoundTrip == 0 {
		return end, nil
	}
	indexes, err := rules.ParseIndexes(deploy.FirestoreIndexes)
	if err != nil {
		return end, err
	}
	f, err := rules.NewFirestore(os.Getenv("FIRESTORE_EMULATOR_HOST"), indexes)
	if err != nil {
		return end, err
	}
	p, err := rules.NewPubSub(os.Getenv("PUBSUB_EMULATOR_HOST"))
	if err != nil {
		return end, errors.Join(err, f.Close())
	}
	f.Distance(d.in.Config.RoundTrip)
	p.Distance(d.in.Config.RoundTrip)
	end = func() error {
		d.sayHot(f.Report())
		return errors.Join(f.Close(), p.Close())
	}
	err = errors.Join(os.Setenv("FIRESTORE_EMULATOR_HOST", f.Addr()), os.Setenv("PUBSUB_EMULATOR_HOST", p.Addr()))
	fmt.Fprintf(d.in.Stderr, "the emulators refuse, bound and slow down what the services do, %s away: Firestore at %s, Pub/Sub at %s\n",
		d.in.Config.RoundTrip, f.Addr(), p.Addr())
	return end, err
}

// sayHot says what the services would not have sustained.
func (d *devRun) sayHot(r rules.Report) {
	const most = 10
	for _, kind := range []struct {
		what string
		all  []rules.Hot
	}{
		{fmt.Sprintf("written faster than %d a second for long", rules.SustainedWrites), r.Documents},
		{fmt.Sprintf("grew at its end by more than %d writes a second", rules.SequentialWrites), r.Ranges},
	} {
		for _, hot := range kind.all[:min(most, len(kind.all))] {
			fmt.Fprintf(d.in.Stderr, "hot: %s %s: %d in the fastest second\n", hot.Name, kind.what, hot.PerSecond)
		}
	}
}
