package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// inBucket is what deploy/archive/transform.yaml makes of messages of types, as Pub/Sub
// runs it: lines; of what is left out, none.
func inBucket(t *testing.T, types string, messages ...map[string]any) (lines []string) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/archive/transform.yaml")
	require.NoError(t, err)
	var transforms []struct {
		JavascriptUdf struct {
			FunctionName string `yaml:"functionName"`
			Code         string
		} `yaml:"javascriptUdf"`
	}
	require.NoError(t, yaml.Unmarshal(bytes.ReplaceAll(text, []byte("TYPE"), []byte(types)), &transforms))
	require.Len(t, transforms, 1)
	input, err := json.Marshal(messages)
	require.NoError(t, err)
	udf := transforms[0].JavascriptUdf
	cmd := exec.Command(emulatortest.Program(t, "node"), "-e", udf.Code+`
		for (const m of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
			const out = `+udf.FunctionName+`({data: m.data, attributes: m.attributes || {}}, {publish_time: m.published || "2026-11-26T12:00:00Z"});
			if (out !== null) console.log(out.data);
		}`)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// An archive in a bucket is what replay reads, whichever mode the publisher uses, and
// has nothing that a worker would have refused for its type or its time.
func TestAnArchiveInABucketIsReplayed(t *testing.T) {
	t.Parallel()
	binary := func(typ, id, at, data string) map[string]any {
		return map[string]any{"data": data, "attributes": map[string]string{
			"CE-specversion": "1.0", "ce-id": id, "ce-source": "//nexus", "ce-type": typ, "ce-time": at, "content-type": "application/json",
		}}
	}
	const thread, at = "nexus.thread.created.v1", "2026-11-26T11:00:00Z"
	structured := map[string]any{"data": strings.ReplaceAll(created("e2", at, "t_a", "th_2"), ",", ",\r\n"), "attributes": map[string]string{"content-type": "application/cloudevents+json; charset=utf-8"}}
	lines := inBucket(t, `nexus\.thread\.created\.v1`,
		binary(thread, "e1", at, "\uFEFF{\"tenant_id\":\"t_a\",\n\"thread_id\":\"th_1\",\"n\":123456789012345678901234567890}"),
		structured,
		map[string]any{"data": created("e3", at, "t_a", "th_3")},
		binary("nexus.tenant.moved.v1", "m1", at, `{"from_tenant_id":"t_a","to_tenant_id":"t_b"}`),
		map[string]any{"data": tenantMoved("m2", at, "t_a", "t_b")},
		map[string]any{"data": strings.ReplaceAll(created("c", at, "t_x", "th_1"), thread, "registry.claimed.v1")},
		binary(thread, "late", "2026-11-26T12:06:00Z", `{"tenant_id":"t_a","thread_id":"th_4"}`),
		binary(thread, "torn", at, `{"tenant_id":`),
		map[string]any{"data": "no event"},
	)
	require.Len(t, lines, 3, lines)
	require.Contains(t, lines[0], "123456789012345678901234567890", "what the registry does not use stays as it was")

	c := onEmulators(t)
	require.Contains(t, c.replay(lines...), "applied")
	require.Equal(t, `{"kind":"thread","id":"th_1","tenant_id":"t_a"}
{"kind":"thread","id":"th_2","tenant_id":"t_a"}
{"kind":"thread","id":"th_3","tenant_id":"t_a"}
`, c.export())
}
