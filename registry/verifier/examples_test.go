package verifier_test

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// owned is a registry in which t_acme owns th_1.
func owned() *memregistry.Store {
	store := memregistry.New()
	if err := registry.New(store).RegisterThread(context.Background(), "t_acme", "th_1"); err != nil {
		panic(err)
	}
	return store
}

func must(v *verifier.Verifier, err error) *verifier.Verifier {
	if err != nil {
		panic(err)
	}
	return v
}

// A page that lists many threads asks once.
func ExampleVerifier_VerifyAll() {
	v := must(verifier.New(owned(), verifier.Options{}))
	defer v.Close()
	errs := v.VerifyAll(context.Background(), "t_acme", []registry.Resource{thread("th_1"), thread("th_2"), thread("th 3")})
	for _, err := range errs {
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// not found
	// invalid: thread id "th 3" does not match ^[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,255}$
}

func ExampleVerifier_Owned() {
	v := must(verifier.New(owned(), verifier.Options{}))
	defer v.Close()
	fmt.Println(v.Owned(context.Background(), "t_acme", []registry.Resource{thread("th_1"), thread("th_2")}))
	// Output: [true false] <nil>
}

// A stream watches before it verifies, so that nothing falls between the two, and
// verifies again when the watch is closed. Package verifierhttp does this for HTTP.
func ExampleVerifier_Watch() {
	ctx := context.Background()
	store := owned()
	v := must(verifier.New(store, verifier.Options{MaxStaleness: 200 * time.Millisecond, MaxAge: 200 * time.Millisecond}))
	defer v.Close()

	changed := v.Watch(ctx, thread("th_1"))
	if err := v.Verify(ctx, "t_acme", thread("th_1")); err != nil {
		panic(err)
	}
	store.SetPlain("thread__th_1", "t_globex", false) // by a program that knows nothing of the registry
	for open := true; open; {
		<-changed // send messages until then
		changed = v.Watch(ctx, thread("th_1"))
		open = v.Reverify(ctx, "t_acme", thread("th_1")) == nil
		time.Sleep(10 * time.Millisecond) // a watch is closed already while nothing is certified
	}
	fmt.Println("the stream ends")
	// Output: the stream ends
}

// One watcher is enough for thousands of streams.
func ExampleVerifier_WatchAll() {
	ctx := context.Background()
	store := owned()
	v := must(verifier.New(store, verifier.Options{MaxStaleness: 200 * time.Millisecond, MaxAge: 200 * time.Millisecond}))
	defer v.Close()

	w, refused, err := v.WatchAll(ctx, []verifier.Ownership{
		{TenantID: "t_acme", Resource: thread("th_1")},
		{TenantID: "t_acme", Resource: thread("th_2")},
	})
	if err != nil {
		panic(err)
	}
	defer w.Close()
	fmt.Println("refused:", refused)
	store.SetPlain("thread__th_1", "t_globex", false)
	for {
		news, err := w.Next(ctx)
		if err != nil {
			panic(err)
		}
		if len(news.Lost) > 0 {
			fmt.Println("lost:", news.Lost)
			return
		}
	}
	// Output:
	// refused: [1]
	// lost: [0]
}

// With a grace a check waits for the event of a thread that has just been created.
func ExampleOptions_grace() {
	ctx := context.Background()
	store := memregistry.New()
	v := must(verifier.New(store, verifier.Options{MissGrace: 10 * time.Second}))
	defer v.Close()
	go func() { _ = registry.New(store).RegisterThread(ctx, "t_acme", "th_late") }()
	fmt.Println(v.VerifyThreadAccess(ctx, "t_acme", "th_late"))
	// Output: <nil>
}
