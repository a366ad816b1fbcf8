package redact_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/redact"
)

func TestSecretsInURLsAreNotShown(t *testing.T) {
	for text, want := range map[string]string{
		"https://user:s3cret@collector:4318":                 "https://(redacted)@collector:4318",
		"https://s3cret@collector:4318/v1/traces":            "https://(redacted)@collector:4318/v1/traces",
		"HTTP://user:p@s3cret@host/x":                        "HTTP://(redacted)@host/x",
		"https://user:pa/s3cret@host":                        "https://(redacted)@host",
		"https://:s3cret@[::1]:4317":                         "https://(redacted)@[::1]:4317",
		"user:s3cret@collector:4317":                         "(redacted)@collector:4317",
		"a=b,endpoint=https://u:s3cret@h/x,c=d":              "a=b,endpoint=https://(redacted)@h/x,c=d",
		"http://h/x?team=a&api_key=s3cret&n=1#top":           "http://h/x?team=a&api_key=(redacted)&n=1#top",
		"http://h/x?X-Amz-Signature=s3cret":                  "http://h/x?X-Amz-Signature=(redacted)",
		`Post "https://u:s3cret@h/v1/traces": no such host`:  `Post "https://(redacted)@h/v1/traces": no such host`,
		"two: https://a:s3cret@h and grpc://b:s3cret@h:4317": "two: https://(redacted)@h and grpc://(redacted)@h:4317",
	} {
		require.Equal(t, want, redact.Text(text))
	}
}

func TestWhatIsNoSecretIsShownAsItIs(t *testing.T) {
	for _, text := range []string{
		"", "127.0.0.1:8080", "[::1]:8080", "http://collector:4318/v1?team=a", "nexus-thread-created.realtime-registry", "team@example.com",
		"service.name=x,host.name=y", "/etc/key.json", "http/protobuf",
	} {
		require.Equal(t, text, redact.Text(text))
	}
}
