package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"

	"github.com/northstar-engines/realtime-registry/internal/redact"
)

// newResource says what the process is, in the words of OpenTelemetry's semantic
// conventions. Each process has an id of its own, service.instance.id: without it
// those of two on one machine would be one series to a collector. The environment
// wins. The resource can be used if there is an error too.
func newResource(ctx context.Context, o Options) (*resource.Resource, error) {
	attributes := []attribute.KeyValue{
		semconv.ServiceName(ServiceName),
		semconv.ServiceInstanceID(uuid.NewString()),
	}
	if o.Version != "" {
		attributes = append(attributes, semconv.ServiceVersion(o.Version))
	}
	if service := os.Getenv("K_SERVICE"); service != "" {
		attributes = append(attributes, semconv.CloudProviderGCP, semconv.CloudPlatformGCPCloudRun,
			semconv.FaaSName(service), semconv.FaaSVersion(os.Getenv("K_REVISION")))
	}
	strays := dropStrays()
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithOSType(),
		resource.WithProcessPID(), resource.WithProcessRuntimeName(), resource.WithProcessRuntimeVersion(),
		resource.WithAttributes(attributes...),
		resource.WithFromEnv()) // the last one wins
	if err != nil {
		err = fmt.Errorf("telemetry: resource: %w", err)
	}
	return res, errors.Join(strays, err)
}

const resourceAttributes = "OTEL_RESOURCE_ATTRIBUTES"

// dropStrays takes what is no pair out of OTEL_RESOURCE_ATTRIBUTES, and returns it
// as an error. It sets the variable: the SDK reads it again for each provider, and
// fails each time.
func dropStrays() error {
	pairs, strays := readPairs()
	return errors.Join(strays, os.Setenv(resourceAttributes, strings.Join(pairs, ",")))
}

// readPairs returns the pairs of OTEL_RESOURCE_ATTRIBUTES, and what is none as an
// error. Between two commas may be nothing.
func readPairs() (pairs []string, err error) {
	var strays []string
	for pair := range strings.SplitSeq(os.Getenv(resourceAttributes), ",") {
		pair = strings.TrimSpace(pair)
		switch {
		case strings.Contains(pair, "="):
			pairs = append(pairs, pair)
		case pair != "":
			strays = append(strays, pair)
		}
	}
	if len(strays) > 0 {
		err = fmt.Errorf("telemetry: %s: left out what is not KEY=VALUE: %s", resourceAttributes, redact.Text(strings.Join(strays, ",")))
	}
	return pairs, err
}
