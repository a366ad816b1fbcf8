package dev

import (
	"net"
	"net/http"
	"strings"
)

// A Request is a request to the API, with its answer.
type Request struct {
	Method  string
	Tenant  string
	Path    string
	Status  int
	Because string
}

// ExampleRequests get these answers once the example is settled, in this order.
var ExampleRequests = append([]Request{
	{http.MethodGet, "t_acme", "/v1/threads/th_welcome/access", http.StatusNoContent, "t_acme owns it: let the stream begin"},
	{http.MethodGet, "t_globex", "/v1/threads/th_welcome/access", http.StatusNotFound, "another tenant's"},
	{http.MethodGet, "t_globex", "/v1/threads/th_unheard-of/access", http.StatusNotFound, "it does not exist; byte for byte the same answer"},
	{http.MethodGet, "t_globex", "/v1/threads/th_support/access", http.StatusNotFound, "t_globex created it, and then moved as a whole"},
	{http.MethodGet, "t_umbrella", "/v1/threads/th_support/access", http.StatusNoContent, "everything of t_globex went here, in one write"},
}, EmptyRequests...)

// EmptyRequests get these answers from a registry without events.
var EmptyRequests = []Request{
	{http.MethodPut, "t_acme", "/v1/threads/th_mine", http.StatusCreated, "claimed (204 when it is repeated)"},
	{http.MethodPut, "t_globex", "/v1/threads/th_mine", http.StatusConflict, "t_acme was first"},
	{http.MethodGet, "t_acme", "/v1/threads/th_mine/access", http.StatusNoContent, "at once"},
	{http.MethodPost, "t_acme", "/v1/quota/stream_connect/take?n=90", http.StatusNoContent, "a tenant has 100 a minute of each action"},
	{http.MethodPost, "t_acme", "/v1/quota/stream_connect/take?n=20", http.StatusTooManyRequests, "10 are left, until the minute ends"},
}

// API says where the requests go, and which tokens it demands. Tokens are secrets,
// and shown by their variables.
type API struct {
	Address    string // as the listener has it
	Token      bool   // REGISTRY_API_TOKEN is demanded
	ClaimToken bool   // and REGISTRY_CLAIM_TOKEN, of claims
}

// URL returns where the API answers programs of this machine.
func (a API) URL() string {
	host, port, err := net.SplitHostPort(a.Address)
	if err == nil && net.ParseIP(host).IsUnspecified() {
		return "http://" + net.JoinHostPort("127.0.0.1", port)
	}
	return "http://" + a.Address
}

// curl returns the request as a line for the shell.
func (r Request) curl(a API) string {
	line := []string{"curl -i"}
	if r.Method != http.MethodGet {
		line = append(line, "-X "+r.Method)
	}
	switch {
	case r.Method == http.MethodPut && a.ClaimToken:
		line = append(line, `-H "Authorization: Bearer $REGISTRY_CLAIM_TOKEN"`)
	case a.Token:
		line = append(line, `-H "Authorization: Bearer $REGISTRY_API_TOKEN"`)
	}
	address := a.URL() + r.Path
	if strings.Contains(address, "?") {
		address = "'" + address + "'"
	}
	return strings.Join(append(line, "-H 'X-Tenant-Id: "+r.Tenant+"'", address), " ")
}
