package telemetry

import (
	"fmt"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
)

// listenToSDK has the errors of OpenTelemetry's SDK reported, in place of lines of
// text on standard error. A process has one place for them.
func listenToSDK(report func(error)) {
	otel.SetLogger(logr.New(sdkLog{report}))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(report))
}

// sdkLog takes the errors that the SDK logs: of variables that it cannot follow. Their values are left out, except the names of
// files: they are what variables say, such as headers with tokens.
type sdkLog struct{ report func(error) }

func (s sdkLog) Error(err error, message string, values ...any) {
	for i := 0; i+1 < len(values); i += 2 {
		if values[i] == "file" {
			message = fmt.Sprintf("%s %v", message, values[i+1])
		}
	}
	s.report(fmt.Errorf("telemetry: a variable OTEL_* cannot be followed: %s: %w", message, err))
}

func (s sdkLog) Init(logr.RuntimeInfo)          {}
func (s sdkLog) Enabled(int) bool               { return false } // of what is not an error
func (s sdkLog) Info(int, string, ...any)       {}
func (s sdkLog) WithValues(...any) logr.LogSink { return s }
func (s sdkLog) WithName(string) logr.LogSink   { return s }
