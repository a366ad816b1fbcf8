package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Bounds on a peer.
const (
	peerTimeout = 1500 * time.Millisecond
	maxMetrics  = 16 << 20
	maxReady    = 64 << 10
	maxPeers    = 64 // addresses
)

// CheckPeer returns what is wrong with the URL of a peer, or nil.
func CheckPeer(peer string) error {
	u, err := url.Parse(peer)
	switch {
	case err != nil:
		return fmt.Errorf("peer %.80q: want a URL such as http://127.0.0.1:8081", peer)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.RawQuery != "", u.Fragment != "", u.User != nil, u.Path != "" && u.Path != "/":
		return fmt.Errorf("peer %.80q: want http:// or https://, a host and a port, and nothing else", peer)
	}
	return nil
}

// newClient returns a client for peers. It follows no redirects: it asks only
// configured hosts.
func newClient() *http.Client {
	return &http.Client{
		Timeout:       peerTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, DisableCompression: false},
	}
}

// peer is one process at one address.
type peer struct {
	name string // as it is shown
	url  *url.URL
	host string // that the request names, if the URL has an address in its place
}

// peers finds the addresses behind the names: a process at each.
func (c *Console) peers(ctx context.Context) (all []peer) {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	for _, given := range c.options.Peers {
		u, err := url.Parse(given)
		if err != nil {
			continue // Validate has refused it
		}
		addresses, err := net.DefaultResolver.LookupHost(ctx, u.Hostname())
		if err != nil || len(addresses) < 2 || u.Scheme == "https" || u.Hostname() == "localhost" {
			all = append(all, peer{name: u.Host, url: u}) // asking it says what is wrong
			continue
		}
		slices.Sort(addresses)
		for _, address := range addresses {
			own := *u
			own.Host = address
			if port := u.Port(); port != "" {
				own.Host = net.JoinHostPort(address, port)
			}
			all = append(all, peer{name: u.Host + " at " + address, url: &own, host: u.Host})
		}
	}
	return all[:min(len(all), maxPeers)]
}

// found is the state in which a process was found.
type found struct {
	Process
	digest
}

// ask asks all peers at once.
func (c *Console) ask(ctx context.Context, peers []peer) []found {
	all := make([]found, len(peers))
	var group sync.WaitGroup
	for i, p := range peers {
		group.Go(func() { all[i] = c.askOne(ctx, p) })
	}
	group.Wait()
	return all
}

func (c *Console) askOne(ctx context.Context, p peer) found {
	f := found{Process: Process{Name: p.name}}
	var ready sync.WaitGroup
	ready.Go(func() { f.Ready, f.Why = c.readyOf(ctx, p) })
	d, err := c.metricsOf(ctx, p)
	ready.Wait()
	if err != nil {
		f.Error = err.Error()
		return f
	}
	f.digest = d
	return f
}

func (c *Console) metricsOf(ctx context.Context, p peer) (digest, error) {
	at := time.Now()
	answer, err := c.get(ctx, p, "/metrics")
	if err != nil {
		return digest{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return digest{}, fmt.Errorf("%s: %s: want the address where it has /metrics (--metrics-listen, if it is given)", p.url.JoinPath("metrics"), answer.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(answer.Body, maxMetrics))
	if err != nil {
		return digest{}, fmt.Errorf("%s: no metrics in Prometheus' text: %w", p.url.JoinPath("metrics"), err)
	}
	return newDigest(at, families), nil
}

// readyOf asks whether a peer is ready, or says why not.
func (c *Console) readyOf(ctx context.Context, p peer) (ready bool, why string) {
	answer, err := c.get(ctx, p, "/readyz")
	if err != nil {
		return false, err.Error()
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		return true, ""
	}
	var said struct{ Detail string }
	if json.NewDecoder(io.LimitReader(answer.Body, maxReady)).Decode(&said) != nil || said.Detail == "" {
		return false, answer.Status
	}
	return false, said.Detail
}

func (c *Console) get(ctx context.Context, p peer, path string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url.JoinPath(path).String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Host = p.host
	answer, err := c.options.Client.Do(r)
	var failed *url.Error
	if errors.As(err, &failed) {
		return nil, fmt.Errorf("%s does not answer: %w", p.url.Host, failed.Err)
	}
	return answer, err
}
