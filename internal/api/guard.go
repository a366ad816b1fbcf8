package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// guard compares bearer tokens (RFC 6750) in constant time: it compares their
// hashes, so that not even the length shows.
type guard struct {
	tokens map[access][][sha256.Size]byte // none: every caller is admitted
}

// newGuard returns the error that lists every fault of the tokens.
func newGuard(tokens, claims []string) (*guard, error) {
	if err := errors.Join(checkTokens("Tokens", tokens), checkTokens("ClaimTokens", claims)); err != nil {
		return nil, err
	}
	if len(claims) == 0 {
		claims = tokens
	}
	g := &guard{map[access][][sha256.Size]byte{}}
	for _, token := range tokens {
		g.tokens[apiToken] = append(g.tokens[apiToken], sha256.Sum256([]byte(token)))
	}
	for _, token := range claims {
		g.tokens[claimToken] = append(g.tokens[claimToken], sha256.Sum256([]byte(token)))
	}
	return g, nil
}

func checkTokens(option string, tokens []string) error {
	if len(tokens) > 2 {
		return fmt.Errorf("%s are %d: want one, or two while one replaces the other", option, len(tokens))
	}
	for _, token := range tokens {
		if !token68.MatchString(token) {
			return fmt.Errorf("%s: characters that a bearer token cannot have: use A-Z a-z 0-9 . _ ~ + / -", option)
		}
	}
	return nil
}

// demands reports whether requests need a token.
func (g *guard) demands(a access) bool { return len(g.tokens[a]) > 0 }

// The reasons why a request is not let in.
const (
	tokenMissing = "missing" // there is none, or several
	tokenUnknown = "unknown" // it is not one of ours, or no longer
	tokenOther   = "other"   // a token for claims on a check, or one for checks on a claim
)

// refusal returns why a request is not let in, or "".
func (g *guard) refusal(r *http.Request, a access) string {
	switch {
	case !g.demands(a) || g.carries(r, a):
		return ""
	case len(r.Header["Authorization"]) != 1:
		return tokenMissing
	case g.carries(r, apiToken) || g.carries(r, claimToken):
		return tokenOther
	}
	return tokenUnknown
}

// challenge says how to ask (RFC 6750, section 3).
func challenge(w http.ResponseWriter, refusal string) {
	challenge := `Bearer realm="realtime-registry"`
	if refusal != tokenMissing {
		challenge += `, error="invalid_token"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
}

// carries reports whether the request has one of the demanded tokens.
func (g *guard) carries(r *http.Request, a access) bool {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	got := sha256.Sum256([]byte(strings.TrimLeft(token, " ")))
	equal := 0
	for i := range g.tokens[a] {
		equal |= subtle.ConstantTimeCompare(got[:], g.tokens[a][i][:])
	}
	return strings.EqualFold(scheme, "Bearer") && equal == 1
}
