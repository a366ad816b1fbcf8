package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// guard compares bearer tokens (RFC 6750) in constant time: it compares their
// hashes, so that not even the length shows.
type guard struct {
	tokens map[access][sha256.Size]byte // none: every caller is admitted
}

func newGuard(token, claim string) guard {
	g := guard{map[access][sha256.Size]byte{}}
	if claim == "" {
		claim = token
	}
	if token != "" {
		g.tokens[apiToken] = sha256.Sum256([]byte(token))
	}
	if claim != "" {
		g.tokens[claimToken] = sha256.Sum256([]byte(claim))
	}
	return g
}

// admits tells whether the request carries the token that it needs; where it
// does not, the challenge is set.
func (g guard) admits(w http.ResponseWriter, r *http.Request, a access) bool {
	want, demanded := g.tokens[a]
	if !demanded {
		return true
	}
	challenge := `Bearer realm="realtime-registry"`
	if values := r.Header.Values("Authorization"); len(values) == 1 {
		scheme, token, _ := strings.Cut(values[0], " ")
		got := sha256.Sum256([]byte(strings.TrimLeft(token, " ")))
		if strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			return true
		}
		challenge += `, error="invalid_token"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	return false
}
