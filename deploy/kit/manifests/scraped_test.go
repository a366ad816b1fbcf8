package manifests

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

// Prometheus finds a target for each port of each container, init containers too
// (https://prometheus.io/docs/prometheus/latest/configuration/configuration/#pod).
func TestPrometheusScrapesEveryProcessOnce(t *testing.T) {
	text, err := os.ReadFile("../../monitoring/prometheus-kubernetes.yaml")
	require.NoError(t, err)
	var c struct {
		Scrapes []struct {
			Relabel []struct {
				From   []string `json:"source_labels"`
				Regex  string
				Action string
			} `json:"relabel_configs"`
		} `json:"scrape_configs"`
	}
	require.NoError(t, yaml.Unmarshal(text, &c))
	keep := c.Scrapes[0].Relabel[0]
	require.Equal(t, "keep", keep.Action)
	require.Equal(t, []string{"__meta_kubernetes_pod_container_name", "__meta_kubernetes_pod_container_port_name"}, keep.From)
	kept := regexp.MustCompile("^(?:" + keep.Regex + ")$")
	processes := 0
	for _, d := range of[*appsv1.Deployment](objects(t, kubernetes+"/overlays/example")) {
		pod := d.Spec.Template.Spec
		for _, container := range append(pod.InitContainers, pod.Containers...) {
			var scraped []string
			for _, p := range container.Ports {
				if kept.MatchString(container.Name + ";" + p.Name) {
					scraped = append(scraped, p.Name)
				}
			}
			if strings.Contains(container.Image, "registry-worker") {
				require.Len(t, scraped, 1, container.Name)
				processes++
			} else {
				require.Empty(t, scraped, container.Name)
			}
		}
	}
	require.Equal(t, 3, processes)
}
