package terraform

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/require"
)

// arguments are those of a resource or of a block in one.
type arguments struct{ Required, Optional []string }

// What `terraform validate` says of arguments, without the provider, which takes a
// network: testdata has them from the pages of its resources, as release 7.45 of
// github.com/hashicorp/terraform-provider-google documents them (website/docs/r).
// Types and values of arguments are not held by this.
func TestArgumentsAreThoseThatTheProviderDocuments(t *testing.T) {
	text, err := os.ReadFile("testdata/google-7.45.json")
	require.NoError(t, err)
	var documented map[string]map[string]arguments
	require.NoError(t, json.Unmarshal(text, &documented))
	seen := map[string]bool{}
	for name, body := range blocks(t) {
		kind, resource, _ := strings.Cut(name, " ")
		if kind != "resource" {
			continue
		}
		resource, _, _ = strings.Cut(resource, " ")
		require.Contains(t, documented, resource)
		requireArguments(t, name, "resource", body, documented[resource])
		seen[resource] = true
	}
	for resource := range documented {
		require.Contains(t, seen, resource, "in testdata, and used no more")
	}
}

// ofTerraform are arguments of every resource.
var ofTerraform = []string{"for_each", "count", "depends_on", "lifecycle", "dynamic"}

func requireArguments(t *testing.T, name, path string, body *hclsyntax.Body, documented map[string]arguments) {
	t.Helper()
	require.Contains(t, documented, path, name)
	known := documented[path]
	has := map[string]bool{}
	for argument := range body.Attributes {
		has[argument] = true
	}
	for _, b := range body.Blocks {
		kind, content := b.Type, b.Body
		if kind == "lifecycle" {
			continue
		}
		if kind == "dynamic" {
			kind, content = b.Labels[0], inner(t, b.Body, "content")
		}
		has[kind] = true
		if len(content.Attributes)+len(content.Blocks) > 0 {
			requireArguments(t, name, strings.TrimPrefix(path+"_"+kind, "resource_"), content, documented)
		}
	}
	for argument := range has {
		require.Contains(t, append(append(ofTerraform, known.Required...), known.Optional...), argument, "%s, %s", name, path)
	}
	for _, argument := range known.Required {
		require.Contains(t, has, argument, "%s, %s", name, path)
	}
}

func TestTheAPIsOfAllThatIsMadeAreTurnedOn(t *testing.T) {
	text, err := os.ReadFile(dir + "/services.tf")
	require.NoError(t, err)
	for prefix, api := range map[string]string{
		"google_firestore_": "firestore", "google_pubsub_": "pubsub", "google_service_account": "iam",
		"google_monitoring_": "monitoring", "google_secret_manager_": "secretmanager",
		"google_project_": "cloudresourcemanager", // which has to be there before
	} {
		used := false
		for name := range blocks(t) {
			used = used || strings.HasPrefix(name, "resource "+prefix)
		}
		require.True(t, used, prefix)
		if api == "cloudresourcemanager" {
			require.Contains(t, string(text), api)
			continue
		}
		require.Contains(t, string(text), `"`+api+`.googleapis.com"`)
	}
	for name := range blocks(t) {
		if resource, is := strings.CutPrefix(name, "resource google_"); is {
			require.Regexp(t, `^(firestore_|pubsub_|service_account|monitoring_|secret_manager_|project_)`, resource, "its API is not known to be on")
		}
	}
}
