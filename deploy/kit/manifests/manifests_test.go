package manifests

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const kubernetes = "../../kubernetes"

// kinds are what the manifests may hold, by API version and kind.
var kinds = map[string]func() any{
	"v1/Namespace":                           func() any { return &corev1.Namespace{} },
	"v1/ServiceAccount":                      func() any { return &corev1.ServiceAccount{} },
	"v1/ConfigMap":                           func() any { return &corev1.ConfigMap{} },
	"v1/Service":                             func() any { return &corev1.Service{} },
	"apps/v1/Deployment":                     func() any { return &appsv1.Deployment{} },
	"policy/v1/PodDisruptionBudget":          func() any { return &policyv1.PodDisruptionBudget{} },
	"networking.k8s.io/v1/NetworkPolicy":     func() any { return &networkingv1.NetworkPolicy{} },
	"autoscaling/v2/HorizontalPodAutoscaler": func() any { return &autoscalingv2.HorizontalPodAutoscaler{} },
}

// objects builds a kustomization, and decodes it by Kubernetes' own types: a
// member that they do not have fails the test.
func objects(t *testing.T, dir string) []any {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	require.NoError(t, err)
	var all []any
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		require.NoError(t, err)
		name := r.GetApiVersion() + "/" + r.GetKind()
		require.Contains(t, kinds, name)
		object := kinds[name]()
		require.NoError(t, yaml.UnmarshalStrict(text, object), "%s %s", name, r.GetName())
		all = append(all, object)
	}
	return all
}

// of returns the objects of a type.
func of[T any](all []any) (some []T) {
	for _, object := range all {
		if o, ok := object.(T); ok {
			some = append(some, o)
		}
	}
	return some
}

// withComponent is the base with one component.
func withComponent(t *testing.T, component string) []any {
	t.Helper()
	dir := t.TempDir()
	fs := filesys.MakeFsOnDisk()
	real, err := filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	here, err := filepath.Abs(kubernetes)
	require.NoError(t, err)
	path, err := filepath.Rel(real, here)
	require.NoError(t, err)
	require.NoError(t, fs.WriteFile(filepath.Join(dir, "kustomization.yaml"),
		[]byte("resources: ["+path+"/base]\ncomponents: ["+path+"/components/"+component+"]\n")))
	return objects(t, dir)
}

func TestAllVariantsAreWhatKubernetesKnows(t *testing.T) {
	require.NotEmpty(t, objects(t, kubernetes+"/base"))
	require.NotEmpty(t, objects(t, kubernetes+"/overlays/example"))
	for _, c := range []string{"autoscale-on-lag", "autoscale-on-backlog"} {
		require.Len(t, of[*autoscalingv2.HorizontalPodAutoscaler](withComponent(t, c)), 1)
	}
}

func TestWhatSelectsPodsFindsSome(t *testing.T) {
	all := objects(t, kubernetes+"/overlays/example")
	var pods []map[string]string
	ports := map[string]map[string]int32{} // by name of the pods
	deployments := map[string]bool{}
	for _, d := range of[*appsv1.Deployment](all) {
		pods = append(pods, d.Spec.Template.Labels)
		require.Subset(t, d.Spec.Template.Labels, d.Spec.Selector.MatchLabels)
		deployments[d.Name] = true
		ports[d.Spec.Template.Labels[nameLabel]] = portsOf(d.Spec.Template.Spec)
	}
	finds := func(labels map[string]string) bool {
		for _, p := range pods {
			match := len(labels) > 0
			for k, v := range labels {
				match = match && p[k] == v
			}
			if match {
				return true
			}
		}
		return false
	}
	for _, s := range of[*corev1.Service](all) {
		require.True(t, finds(s.Spec.Selector), s.Name)
		for _, p := range s.Spec.Ports {
			require.Contains(t, ports[s.Spec.Selector[nameLabel]], p.TargetPort.StrVal)
		}
	}
	for _, b := range of[*policyv1.PodDisruptionBudget](all) {
		require.True(t, finds(b.Spec.Selector.MatchLabels), b.Name)
	}
	for _, p := range of[*networkingv1.NetworkPolicy](all) {
		for _, e := range p.Spec.PodSelector.MatchExpressions {
			for _, value := range e.Values {
				require.True(t, finds(map[string]string{e.Key: value}), value)
			}
		}
		if len(p.Spec.PodSelector.MatchExpressions) == 0 {
			require.True(t, finds(p.Spec.PodSelector.MatchLabels), p.Name)
		}
		for _, in := range p.Spec.Ingress {
			for _, port := range in.Ports {
				require.Contains(t, ports[p.Spec.PodSelector.MatchLabels[nameLabel]], port.Port.StrVal, p.Name)
			}
		}
	}
	for _, h := range of[*autoscalingv2.HorizontalPodAutoscaler](all) {
		require.Contains(t, deployments, h.Spec.ScaleTargetRef.Name)
	}
}

const nameLabel = "app.kubernetes.io/name"

func portsOf(pod corev1.PodSpec) map[string]int32 {
	ports := map[string]int32{}
	for _, c := range append(pod.InitContainers, pod.Containers...) {
		for _, p := range c.Ports {
			ports[p.Name] = p.ContainerPort
		}
	}
	return ports
}

func TestTheBacklogIsThatOfSubscriptionsThatTheWorkerHas(t *testing.T) {
	known := setting(t, "run", "subscriptions")
	h := of[*autoscalingv2.HorizontalPodAutoscaler](withComponent(t, "autoscale-on-backlog"))[0]
	for _, m := range h.Spec.Metrics {
		name := m.External.Metric.Selector.MatchLabels["resource.labels.subscription_id"]
		require.Contains(t, strings.Split(known, ","), name)
		require.Equal(t, setting(t, "run", "max-outstanding"), fmt.Sprint(m.External.Target.AverageValue.Value()))
	}
}
