// Package redact takes secrets out of text that is shown or logged, by what they
// look like: it knows neither the setting nor the variable that the text is of.
package redact

import "regexp"

// Redacted stands in place of a secret.
const Redacted = "(redacted)"

var (
	// userinfo is what stands before the @ of a URL (RFC 3986 §3.2.1), a user's
	// name too: it may be a token. Up to the last @, since passwords may have
	// unescaped @ and /.
	userinfo = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*://)[^\s,"']*@`)
	// bare is the same without a scheme.
	bare = regexp.MustCompile(`(^|[\s,="'])[^\s,="'/:@]+:[^\s,"':@/][^\s,"':@]*@`)
	// query is a secret among the parameters of a URL.
	query = regexp.MustCompile(`(?i)([?&](?:[a-z0-9_.-]*(?:token|secret|password|passwd|signature|credential|key)|sig|auth)=)[^&#\s,"']+`)
)

// Text returns the text with the user and the password of each URL, and query
// parameters that are named as secrets are, replaced by Redacted. It errs on the
// side of showing too little.
func Text(s string) string {
	s = userinfo.ReplaceAllString(s, "${1}"+Redacted+"@")
	s = bare.ReplaceAllString(s, "${1}"+Redacted+"@")
	return query.ReplaceAllString(s, "${1}"+Redacted)
}
