// Package terraform holds deploy/terraform against the code: Terraform's own
// validation takes providers, which take a network.
package terraform

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/northstar-engines/realtime-registry/internal/subscription"
)

const dir = "../../terraform"

// blocks are all blocks at the top of the files, by type and labels.
func blocks(t *testing.T) map[string]*hclsyntax.Body {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.tf")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	parser := hclparse.NewParser()
	all := map[string]*hclsyntax.Body{}
	for _, file := range files {
		parsed, faults := parser.ParseHCLFile(file)
		require.False(t, faults.HasErrors(), faults)
		for _, b := range parsed.Body.(*hclsyntax.Body).Blocks {
			name := strings.Join(append([]string{b.Type}, b.Labels...), " ")
			if b.Type != "locals" {
				require.NotContains(t, all, name, "twice")
				all[name] = b.Body
				continue
			}
			for local := range b.Body.Attributes {
				all["local "+local] = b.Body
			}
		}
	}
	return all
}

// value is that of an attribute that refers to nothing.
func value(t *testing.T, body *hclsyntax.Body, name string) cty.Value {
	t.Helper()
	require.Contains(t, body.Attributes, name)
	v, faults := body.Attributes[name].Expr.Value(nil)
	require.False(t, faults.HasErrors(), faults)
	return v
}

func inner(t *testing.T, body *hclsyntax.Body, kind string) *hclsyntax.Body {
	t.Helper()
	for _, b := range body.Blocks {
		if b.Type == kind {
			return b.Body
		}
	}
	t.Fatalf("no block %s", kind)
	return nil
}

func TestWhatIsReferredToIsThere(t *testing.T) {
	all := blocks(t)
	for name, body := range all {
		_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
			e, ok := n.(*hclsyntax.ScopeTraversalExpr)
			if !ok {
				return nil
			}
			words := make([]string, 0, 2)
			for _, part := range e.Traversal {
				switch p := part.(type) {
				case hcl.TraverseRoot:
					words = append(words, p.Name)
				case hcl.TraverseAttr:
					words = append(words, p.Name)
				}
			}
			switch {
			case words[0] == "var":
				require.Contains(t, all, "variable "+words[1], name)
			case words[0] == "local":
				require.Contains(t, all, "local "+words[1], name)
			case strings.HasPrefix(words[0], "google_"):
				require.Contains(t, all, "resource "+words[0]+" "+words[1], name)
			}
			return nil
		})
	}
}

func TestSubscriptionsAreThoseThatProvisionMakes(t *testing.T) {
	all := blocks(t)
	var names []string
	for it := value(t, all["variable subscriptions"], "default").ElementIterator(); it.Next(); {
		_, v := it.Element()
		names = append(names, v.AsString())
	}
	for _, name := range names {
		require.NotEmpty(t, subscription.Of(name).Topic, name)
	}
	require.Equal(t, []string{"nexus-thread-created.realtime-registry", "nexus-canvas-created.realtime-registry", "nexus-tenant-moved.realtime-registry",
		"nexus-thread-deleted.realtime-registry", "nexus-canvas-deleted.realtime-registry"}, names)

	letters := value(t, all["variable dead_letter_topic"], "default").AsString()
	log := value(t, all["variable log_topic"], "default").AsString()
	for resource, want := range map[string]subscription.Wanted{
		"resource google_pubsub_subscription events":       subscription.Of(names[0]),
		"resource google_pubsub_subscription dead_letters": subscription.OfDeadLetters(letters),
		"resource google_pubsub_subscription log":          subscription.OfLog(log),
	} {
		body, settings := all[resource], want.Settings()
		deadline, _ := value(t, body, "ack_deadline_seconds").AsBigFloat().Int64()
		require.EqualValues(t, settings.AckDeadlineSeconds, deadline, resource)
		require.Equal(t, seconds(settings.MessageRetentionDuration), value(t, body, "message_retention_duration").AsString(), resource)
		require.Empty(t, value(t, inner(t, body, "expiration_policy"), "ttl").AsString(), "it never expires")
		retain := body.Attributes["retain_acked_messages"] != nil && value(t, body, "retain_acked_messages").True()
		require.Equal(t, settings.RetainAckedMessages, retain, resource)
		if settings.RetryPolicy != nil {
			retry := inner(t, body, "retry_policy")
			require.Equal(t, seconds(settings.RetryPolicy.MinimumBackoff), value(t, retry, "minimum_backoff").AsString())
			require.Equal(t, seconds(settings.RetryPolicy.MaximumBackoff), value(t, retry, "maximum_backoff").AsString())
		}
		for _, b := range body.Blocks {
			require.Contains(t, []string{"expiration_policy", "retry_policy", "lifecycle"}, b.Type, "%s: it would differ from what provision makes", resource)
		}
		for name := range body.Attributes {
			require.Contains(t, []string{"for_each", "project", "name", "topic", "ack_deadline_seconds", "message_retention_duration", "retain_acked_messages", "labels"}, name, resource)
		}
	}
	for topic, want := range map[string]subscription.Wanted{"dead_letters": subscription.OfDeadLetters(letters), "log": subscription.OfLog(log)} {
		kept := value(t, all["resource google_pubsub_topic "+topic], "message_retention_duration").AsString()
		require.Equal(t, fmt.Sprintf("%.0fs", want.TopicRetention().Seconds()), kept, topic)
	}
}

// Terraform says since when what it makes keeps messages, as provision does, and leaves
// what provision has said of it afterwards.
func TestWhatIsReplayedSaysSinceWhenItKeepsMessages(t *testing.T) {
	all := blocks(t)
	said, ok := all["local keeps_since"].Attributes["keeps_since"].Expr.(*hclsyntax.ObjectConsExpr)
	require.True(t, ok)
	key, faults := said.Items[0].KeyExpr.Value(nil)
	require.False(t, faults.HasErrors(), faults)
	require.Equal(t, subscription.KeepsSinceLabel, key.AsString())
	call, ok := said.Items[0].ValueExpr.(*hclsyntax.FunctionCallExpr)
	require.True(t, ok)
	format, faults := call.Args[0].Value(nil)
	require.False(t, faults.HasErrors(), faults)
	at, err := stdlib.FormatDate(format, cty.StringVal("2026-11-26T10:58:21Z"))
	require.NoError(t, err)
	require.Equal(t, subscription.MadeLabels(time.Date(2026, 11, 26, 10, 58, 21, 0, time.UTC)), map[string]string{key.AsString(): at.AsString()})
	for _, resource := range []string{"google_pubsub_subscription events", "google_pubsub_subscription log", "google_pubsub_topic log"} {
		body := all["resource "+resource]
		require.Contains(t, body.Attributes, "labels", resource)
		require.Contains(t, inner(t, body, "lifecycle").Attributes, "ignore_changes", resource)
	}
}

// What docs/recovery.md types of Terraform is there.
func TestTheRecoveryPageNamesResourcesThatThereAre(t *testing.T) {
	page, err := os.ReadFile("../../../docs/recovery.md")
	require.NoError(t, err)
	all := blocks(t)
	named := regexp.MustCompile(`\b(google_\w+)\.(\w+)(?:\["([^"]+)"\])?`).FindAllStringSubmatch(string(page), -1)
	require.Greater(t, len(named), 4)
	of := map[string]bool{}
	for _, n := range named {
		require.Contains(t, all, "resource "+n[1]+" "+n[2])
		of[n[1]+"."+n[2]] = true
	}
	for name, body := range all {
		if database, is := body.Attributes["database"]; is && strings.HasPrefix(name, "resource ") {
			require.NotEmpty(t, database.Expr.Variables(), name)
			require.True(t, of[strings.ReplaceAll(strings.TrimPrefix(name, "resource "), " ", ".")], "%s belongs to the database, and the page leaves it in the state", name)
		}
	}
	require.Contains(t, all, "variable database")
	text, err := os.ReadFile("../../firestore.indexes.json")
	require.NoError(t, err)
	var file struct {
		Indexes []struct {
			CollectionGroup string
			Fields          []struct{ FieldPath string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &file))
	for _, i := range file.Indexes {
		key := i.CollectionGroup
		for _, f := range i.Fields {
			key += "." + f.FieldPath
		}
		require.Contains(t, string(page), `google_firestore_index.registry["`+key+`"]`, "an index that is there cannot be made")
	}
}

// seconds writes a duration as Terraform does.
func seconds(d interface{ GetSeconds() int64 }) string {
	return json.Number(cty.NumberIntVal(d.GetSeconds()).AsBigFloat().Text('f', 0)).String() + "s"
}

// The indexes are read from the file that deploy/indexes_test.go holds against the
// stores. Here: that all that the file says is passed on.
func TestEveryMemberOfTheFileOfIndexesIsPassedOn(t *testing.T) {
	text, err := os.ReadFile("../../firestore.indexes.json")
	require.NoError(t, err)
	var file map[string]any
	require.NoError(t, json.Unmarshal(text, &file))
	firestore, err := os.ReadFile(dir + "/firestore.tf")
	require.NoError(t, err)
	require.Contains(t, blocks(t), "resource google_firestore_index registry")
	for _, i := range file["indexes"].([]any) { // composite ones
		for member, v := range i.(map[string]any) {
			require.Regexp(t, `each\.value\.`+member+`\b`, string(firestore))
			if member != "fields" {
				continue
			}
			for _, field := range v.([]any) {
				for member := range field.(map[string]any) {
					require.Regexp(t, `fields\.value\.`+member+`\b`, string(firestore))
				}
			}
		}
	}
	for _, o := range file["fieldOverrides"].([]any) {
		for member, v := range o.(map[string]any) {
			require.Regexp(t, `each\.value\.`+member+`\b|each\.value, "`+member+`"`, string(firestore))
			if member != "indexes" {
				continue
			}
			for _, index := range v.([]any) {
				for member := range index.(map[string]any) {
					require.Regexp(t, `indexes\.value\.`+member+`\b|indexes\.value, "`+member+`"`, string(firestore))
				}
			}
		}
	}
}

func TestNobodyIsGrantedPubSubOnTheWholeProject(t *testing.T) {
	roles := map[string]bool{}
	for name, body := range blocks(t) {
		if !strings.Contains(name, "_iam_") && !strings.HasPrefix(name, "local ") {
			continue
		}
		_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
			if l, ok := n.(*hclsyntax.LiteralValueExpr); ok && l.Val.Type() == cty.String && strings.HasPrefix(l.Val.AsString(), "roles/") {
				roles[l.Val.AsString()] = true
				if !strings.Contains(name, "pubsub") && !strings.Contains(name, "service_account") && !strings.Contains(name, "secret") { // what is granted on the project
					require.Regexp(t, `^roles/datastore\.`, l.Val.AsString(), name)
				}
			}
			return nil
		})
	}
	security, err := os.ReadFile("../../../docs/security.md")
	require.NoError(t, err)
	for role := range roles {
		if role != "roles/iam.workloadIdentityUser" {
			require.Contains(t, string(security), "`"+role+"`", "the page of identities does not know it")
		}
	}
	require.Contains(t, roles, "roles/pubsub.subscriber")
	condition := inner(t, blocks(t)["resource google_project_iam_member firestore"], "condition")
	require.Contains(t, condition.Attributes, "expression", "on one database")
}

func TestServiceAccountsAreThoseOfTheManifests(t *testing.T) {
	all := blocks(t)
	for resource, file := range map[string]string{"worker": "worker.yaml", "api": "api.yaml"} {
		id := value(t, all["resource google_service_account "+resource], "account_id").AsString()
		for _, manifest := range []string{"../../kubernetes/base/" + file, "../../cloudrun/" + file} {
			text, err := os.ReadFile(manifest)
			require.NoError(t, err)
			require.Regexp(t, `serviceAccountName: `+id+`\b`, string(text), manifest)
		}
	}
}

func TestSecretsAreThoseThatCloudRunReads(t *testing.T) {
	all := blocks(t)
	made := map[string]bool{}
	_ = hclsyntax.VisitAll(all["resource google_secret_manager_secret tokens"], func(n hclsyntax.Node) hcl.Diagnostics {
		if l, ok := n.(*hclsyntax.LiteralValueExpr); ok && l.Val.Type() == cty.String {
			made[l.Val.AsString()] = true
		}
		return nil
	})
	manifest, err := os.ReadFile("../../cloudrun/api.yaml")
	require.NoError(t, err)
	read := map[string]bool{}
	for _, m := range regexp.MustCompile(`secretName: (\S+)`).FindAllStringSubmatch(string(manifest), -1) {
		read[m[1]] = true
	}
	require.Equal(t, read, made)
	require.Equal(t, "roles/secretmanager.secretAccessor", value(t, all["resource google_secret_manager_secret_iam_member tokens"], "role").AsString())
}

// The attributes of alert policies, by
// https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies,
// which the provider's follow.
func TestAlertsInCloudMonitoringSayWhatToRead(t *testing.T) {
	page, err := os.ReadFile("../../../docs/operations.md")
	require.NoError(t, err)
	for _, name := range []string{"backlog", "dead_letters"} {
		body := blocks(t)["resource google_monitoring_alert_policy "+name]
		require.NotNil(t, body, name)
		text := value(t, inner(t, body, "documentation"), "content").AsString()
		alerts := regexp.MustCompile(`Registry[A-Z]\w+`).FindAllString(text, -1)
		require.NotEmpty(t, alerts)
		for _, alert := range alerts {
			require.Contains(t, string(page), "#### "+alert+"\n")
		}
	}
}

func TestTerraformFindsTheFilesInItsOwnFormat(t *testing.T) {
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed, which has no package in Debian:", err)
	}
	out, err := exec.Command(terraform, "fmt", "-check", "-diff", dir).Output()
	require.NoError(t, err, "%s", out)
}

// Types and values of arguments are what the provider says: `terraform init` brings
// it, from a network.
func TestTerraformFindsTheFilesValid(t *testing.T) {
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed, which has no package in Debian:", err)
	}
	out, _ := exec.Command(terraform, "-chdir="+dir, "validate", "-json").Output() // exits with 1 if there is a fault
	var found struct {
		Valid       bool
		Diagnostics []struct{ Severity, Summary, Detail string }
	}
	require.NoError(t, json.Unmarshal(out, &found), "%s", out)
	for _, d := range found.Diagnostics {
		if d.Severity == "error" && strings.Contains(d.Detail, "terraform init") {
			t.Skip("the provider is not here; `terraform -chdir=deploy/terraform init` brings it: ", d.Summary)
		}
	}
	require.True(t, found.Valid, "%s", out)
}
