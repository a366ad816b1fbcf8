package manifests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

func TestKubernetesStartsWhatTheProgramTakes(t *testing.T) {
	all := objects(t, kubernetes+"/overlays/example")
	shared := map[string]map[string]string{}
	for _, c := range of[*corev1.ConfigMap](all) {
		shared[c.Name] = c.Data
	}
	accounts := map[string]bool{}
	for _, a := range of[*corev1.ServiceAccount](all) {
		accounts[a.Name] = true
	}
	started := map[string]bool{}
	for _, d := range of[*appsv1.Deployment](all) {
		pod := d.Spec.Template.Spec
		require.Contains(t, accounts, pod.ServiceAccountName)
		for _, c := range append(pod.InitContainers, pod.Containers...) {
			if !strings.Contains(c.Image, "registry-worker") {
				continue
			}
			requireRestricted(t, pod, c)
			require.Equal(t, "v1.0.0", c.Image[strings.LastIndexByte(c.Image, ':')+1:])
			environ := map[string]string{}
			for _, from := range c.EnvFrom {
				require.Contains(t, shared, from.ConfigMapRef.Name)
				for name, value := range shared[from.ConfigMapRef.Name] {
					environ[name] = value
				}
			}
			s := startOf(d.Name, pod, c, environ)
			requireRuns(t, s)
			started[d.Name+" "+c.Args[0]] = true
		}
	}
	require.Equal(t, map[string]bool{"registry-worker run": true, "registry-api serve": true, "streaming serve": true}, started)
}

// startOf is the start of a container, with its own variables added to environ.
func startOf(where string, pod corev1.PodSpec, c corev1.Container, environ map[string]string) start {
	for _, e := range c.Env {
		environ[e.Name] = e.Value
	}
	s := start{where: where, args: c.Args, environ: environ, probes: map[string]string{}, grace: 30 * time.Second}
	if pod.TerminationGracePeriodSeconds != nil {
		s.grace = time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second
	}
	for _, p := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if p == nil {
			continue
		}
		port := c.Ports[0].ContainerPort // Cloud Run's default
		for _, named := range c.Ports {
			if named.Name == p.HTTPGet.Port.StrVal {
				port = named.ContainerPort
			}
		}
		s.probes[fmt.Sprint(port)] = p.HTTPGet.Path
	}
	return s
}

// requireRestricted holds a container to the profile "restricted"
// (https://kubernetes.io/docs/concepts/security/pod-security-standards/), and to a
// file system that it cannot write.
func requireRestricted(t *testing.T, pod corev1.PodSpec, c corev1.Container) {
	t.Helper()
	own, whole := c.SecurityContext, pod.SecurityContext
	require.NotNil(t, own, c.Name)
	if whole == nil {
		whole = &corev1.PodSecurityContext{}
	}
	require.True(t, *own.ReadOnlyRootFilesystem, c.Name)
	require.False(t, *own.AllowPrivilegeEscalation, c.Name)
	require.Equal(t, []corev1.Capability{"ALL"}, own.Capabilities.Drop, c.Name)
	require.True(t, own.RunAsNonRoot != nil && *own.RunAsNonRoot || *whole.RunAsNonRoot, c.Name)
	require.True(t, own.SeccompProfile != nil || whole.SeccompProfile != nil, c.Name)
	require.False(t, *pod.AutomountServiceAccountToken, c.Name)
}

// service is a service of Cloud Run: Knative's, whose revision is a pod with two
// members more (https://cloud.google.com/run/docs/reference/yaml/v1).
type service struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Template struct {
			metav1.ObjectMeta `json:"metadata"`
			Spec              struct {
				corev1.PodSpec       `json:",inline"`
				ContainerConcurrency int64 `json:"containerConcurrency"`
				TimeoutSeconds       int64 `json:"timeoutSeconds"`
			} `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
}

func TestCloudRunStartsWhatTheProgramTakes(t *testing.T) {
	files, err := filepath.Glob("../../cloudrun/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var s service
		require.NoError(t, yaml.UnmarshalStrict(text, &s), file)
		require.Equal(t, "serving.knative.dev/v1 Service", s.APIVersion+" "+s.Kind)
		require.Len(t, s.Spec.Template.Spec.Containers, 1)
		c := s.Spec.Template.Spec.Containers[0]
		require.Equal(t, "false", s.Spec.Template.Annotations["run.googleapis.com/cpu-throttling"], "it works between requests")
		for _, arg := range c.Args {
			require.NotContains(t, arg, "--listen", "PORT says where")
		}
		begin := startOf(file, s.Spec.Template.Spec.PodSpec, c, map[string]string{"PORT": fmt.Sprint(c.Ports[0].ContainerPort)})
		begin.grace = 10 * time.Second // https://cloud.google.com/run/docs/container-contract#instance-shutdown
		requireRuns(t, begin)
	}
}

func TestSystemdStartsWhatTheProgramTakes(t *testing.T) {
	files, err := filepath.Glob("../../systemd/*.service")
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, file := range files {
		unit, err := os.ReadFile(file)
		require.NoError(t, err)
		settings := map[string]string{}
		for line := range strings.Lines(string(unit)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
				settings[name] = value
			}
		}
		command := strings.Fields(settings["ExecStart"])
		require.Equal(t, "/usr/local/bin/registry-worker", command[0])
		grace, err := time.ParseDuration(settings["TimeoutStopSec"])
		require.NoError(t, err)
		requireRuns(t, start{where: file, args: command[1:], grace: grace,
			environ: map[string]string{"GOOGLE_CLOUD_PROJECT": "my-project"}})
	}
}

func TestSystemdTakesTheUnitsAndFindsThemConfined(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed, which looks at the units:", err)
	}
	files, err := filepath.Glob("../../systemd/*.service")
	require.NoError(t, err)
	for _, file := range files {
		unit, err := os.ReadFile(file)
		require.NoError(t, err)
		// If nothing is installed: the program that was built.
		here := filepath.Join(t.TempDir(), filepath.Base(file))
		text := strings.ReplaceAll(string(unit), "/usr/local/bin/registry-worker", emulatortest.Binary(t))
		require.NoError(t, os.WriteFile(here, []byte(text), 0o600))
		out, err := exec.Command(analyze, "verify", "--man=no", here).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Empty(t, string(out), file)
		out, err = exec.Command(analyze, "security", "--offline=yes", "--threshold=15", here).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}
