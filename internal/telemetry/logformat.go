package telemetry

import "golang.org/x/term"

// The log formats.
const (
	Auto   = "auto"   // whichever fits where the process runs
	Text   = "text"   // for people
	JSON   = "json"   // one object a line
	Google = "google" // JSON as Google Cloud Logging reads it
)

// LogFormats are the formats that can be asked for.
var LogFormats = []string{Auto, Text, JSON, Google}

// platforms are variables that tell where a process runs: on Cloud Run
// (https://cloud.google.com/run/docs/container-contract#env-vars), or in a pod of
// Kubernetes (https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables).
var platforms = []string{"K_SERVICE", "CLOUD_RUN_JOB", "CLOUD_RUN_WORKER_POOL", "KUBERNETES_SERVICE_HOST"}

// LogFormat returns the format that auto stands for, and any other as it is. On a
// terminal that is Text, for a person; else Google on Cloud Run and Kubernetes;
// else JSON for a service, and Text for a command that a script called.
func LogFormat(format string, stderr any, service bool, lookupEnv func(string) (string, bool)) string {
	switch {
	case format == Text || format == JSON || format == Google:
		return format
	case IsTerminal(stderr):
		return Text
	}
	for _, name := range platforms {
		if value, _ := lookupEnv(name); value != "" {
			return Google
		}
	}
	if service {
		return JSON
	}
	return Text
}

// IsTerminal reports whether a stream, such as an *os.File, is a terminal, at which
// a person can look and be asked.
func IsTerminal(stream any) bool {
	f, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}
