package quota

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// livePolicies holds the policies in force, from their layers.
type livePolicies struct {
	set atomic.Pointer[policiesInForce]

	mu        sync.Mutex
	layers    [3]limits.Policies
	fileText  []byte // of the file layer
	documents limits.PolicyDocuments
	labels    []string // of actions, in the order in which they were first named
}

type policiesInForce struct {
	limits.PolicySet
	labels map[string]uint16
	names  []string
}

// The layers, the later before the earlier.
const (
	optionsLayer = iota
	fileLayer
	documentsLayer
)

// otherAction is the label of actions that no policy has ever named:
// callers could invent any number of them.
const otherAction = "other"

func (p *livePolicies) init(policies limits.Policies) {
	p.labels = []string{otherAction}
	p.replace(optionsLayer, policies)
}

// current returns the policies in force.
func (p *livePolicies) current() limits.PolicySet { return p.set.Load().PolicySet }

// label returns the number of an action's metric label; 0 is "other".
func (p *livePolicies) label(action string) uint16 { return p.set.Load().labels[action] }

// labelNames returns the labels by number.
func (p *livePolicies) labelNames() []string { return p.set.Load().names }

// replace replaces a layer, and reports whether that changes anything.
func (p *livePolicies) replace(layer int, policies limits.Policies) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.set.Load() != nil && p.layers[layer].Equal(policies) {
		return false
	}
	p.layers[layer] = policies
	set := limits.NewPolicySet(p.layers[:]...)
	p.addLabels(set.Actions())
	inForce := &policiesInForce{PolicySet: set, labels: map[string]uint16{}, names: p.labels}
	for i, name := range p.labels {
		if i > 0 {
			inForce.labels[name] = uint16(i)
		}
	}
	p.set.Store(inForce)
	return true
}

// addLabels gives numbers to new actions. A number stays its action's for ever:
// counters must not go back.
func (p *livePolicies) addLabels(actions []string) {
	known := map[string]bool{}
	for _, name := range p.labels[1:] {
		known[name] = true
	}
	for _, action := range actions {
		if !known[action] && action != otherAction && len(p.labels) < math.MaxUint16 {
			p.labels = append(p.labels, action)
		}
	}
}
