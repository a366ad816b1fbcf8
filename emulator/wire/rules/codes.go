package rules

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// failure returns a code as the error that the services send; nil for OK.
func failure(code codes.Code) error {
	switch code {
	case codes.OK:
		return nil
	case codes.ResourceExhausted:
		return status.Error(code, "Quota exceeded.")
	case codes.Unavailable:
		return status.Error(code, "The service is temporarily unavailable. Please retry with exponential backoff.")
	case codes.PermissionDenied:
		return status.Error(code, "Missing or insufficient permissions.")
	}
	return status.Error(code, code.String())
}
