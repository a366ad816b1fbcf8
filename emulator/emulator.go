package emulator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options says what Start starts. The zero Options starts both.
type Options struct {
	SDK         SDK           // zero: Find
	NoFirestore bool          // leave the Firestore emulator out
	NoPubSub    bool          // leave the Pub/Sub emulator out
	StartWithin time.Duration // for each emulator; zero: 60 s
}

const defaultStartWithin = 60 * time.Second

// Emulators are the emulators started by one Start.
type Emulators struct {
	Firestore *Emulator // nil if Options left it out
	PubSub    *Emulator // nil if Options left it out
}

// Start starts the emulators and waits until they answer. ctx bounds the start
// only. If it returns an error, nothing is left running.
func Start(ctx context.Context, o Options) (*Emulators, error) {
	if o.SDK == (SDK{}) {
		sdk, err := Find()
		if err != nil {
			return nil, err
		}
		o.SDK = sdk
	}
	if o.StartWithin == 0 {
		o.StartWithin = defaultStartWithin
	}
	ctx, cancel := context.WithTimeout(ctx, o.StartWithin)
	defer cancel()

	e := &Emulators{}
	var g errgroup.Group
	if !o.NoFirestore {
		g.Go(func() (err error) { e.Firestore, err = start(ctx, firestoreSpec(o.SDK)); return err })
	}
	if !o.NoPubSub {
		g.Go(func() (err error) { e.PubSub, err = start(ctx, pubsubSpec(o.SDK)); return err })
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	return e, nil
}

// Environ returns the variables by which Google's clients find the emulators, as
// KEY=value.
func (e *Emulators) Environ() []string {
	var env []string
	if e.Firestore != nil {
		env = append(env, "FIRESTORE_EMULATOR_HOST="+e.Firestore.Host)
	}
	if e.PubSub != nil {
		env = append(env, "PUBSUB_EMULATOR_HOST="+e.PubSub.Host)
	}
	return env
}

// Stop ends the emulators and returns when they are gone. Repeating it is
// harmless.
func (e *Emulators) Stop() error {
	var errs []error
	for _, one := range []*Emulator{e.Firestore, e.PubSub} {
		if one != nil {
			errs = append(errs, one.Stop())
		}
	}
	return errors.Join(errs...)
}

// An Emulator is one running emulator.
type Emulator struct {
	Name string // as people call it
	Host string // host:port

	spec    spec
	process *process
}

// PID returns the id of the process that serves. (If the launcher of some SDK does
// not make way for Java, it is the launcher's.)
func (e *Emulator) PID() int { return e.process.pid() }

// Done returns a channel that is closed when the emulator has ended, for whatever
// reason.
func (e *Emulator) Done() <-chan struct{} { return e.process.done }

// Output returns the last that the emulator printed, up to 16 KiB.
func (e *Emulator) Output() string { return e.process.output.String() }

// Pause stops the emulator's process: connections stay, but nothing answers. It
// returns when the signal is sent, a moment before it takes effect.
func (e *Emulator) Pause() error { return e.signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (e *Emulator) Resume() error { return e.signal(syscall.SIGCONT) }

func (e *Emulator) signal(s syscall.Signal) error {
	if err := e.process.signal(s); err != nil {
		return fmt.Errorf("signal %v to the %s emulator: %w", s, e.Name, err)
	}
	return nil
}

// Stop ends the emulator and returns when it is gone.
func (e *Emulator) Stop() error {
	if err := e.process.stop(); err != nil {
		return fmt.Errorf("stop the %s emulator: %w", e.Name, err)
	}
	return nil
}

// spec has what differs between the emulators.
type spec struct {
	name    string
	command func(port string) []string
	env     []string
	ready   func(ctx context.Context, host string) error
	restart func(exported string) []string // arguments that start it with what was exported; nil: it exports nothing
}

func firestoreSpec(sdk SDK) spec {
	// The launcher runs $JAVA as a child, split into words. With exec, Java takes
	// its place, and PID is Java's. A path among the words could have spaces and
	// asterisks; A name without a path is looked up in PATH.
	env := []string{"JAVA=exec java"}
	if home := os.Getenv("JAVA_HOME"); home != "" {
		env = append(env, "PATH="+filepath.Join(home, "bin")+string(filepath.ListSeparator)+os.Getenv("PATH"))
	}
	return spec{
		name: "Firestore",
		command: func(port string) []string {
			return []string{sdk.Firestore, "start", "--host=" + loopback, "--port=" + port}
		},
		env:     env,
		ready:   firestoreReady,
		restart: func(exported string) []string { return []string{"--import-data=" + exported} },
	}
}

func pubsubSpec(sdk SDK) spec {
	return spec{
		name: "Pub/Sub",
		command: func(port string) []string {
			return []string{sdk.PubSub, "--host=" + loopback, "--port=" + port}
		},
		ready: pubsubReady,
	}
}
