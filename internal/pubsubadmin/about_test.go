package pubsubadmin

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestALetterSaysWhatItsEventIsAboutAsFarAsItTells(t *testing.T) {
	for text, want := range map[string]string{
		`{"specversion":"1.0","data":{"thread_id":"th_1","tenant_id":"t_a"}}`: "thread/th_1",
		`{"canvas_id":"cv_1"}`: "canvas/cv_1",
		`{"specversion":"1.0","data":{"from_tenant_id":"t_a","to_tenant_id":"t_b"}}`: "t_a → t_b",
		`{"tenant_id":7,"thread_id":"th_1"}`:                                         "thread/th_1",
		`{"thread_id":7}`:                                                            "",
		`{"specversion":"1.0"}`:                                                      "",
		`no JSON`:                                                                    "",
		``:                                                                           "",
	} {
		require.Equal(t, want, about([]byte(text)), text)
	}
}
