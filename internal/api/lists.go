package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/northstar-engines/realtime-registry/internal/problem"
	"github.com/northstar-engines/realtime-registry/registry"
)

// accessAll answers POST /v1/access.
func (s *Server) accessAll(x *exchange, r *http.Request, body []byte, _ func()) {
	w := x.answer
	ctx, cancel := context.WithTimeout(r.Context(), s.options.RequestTimeout)
	defer cancel()
	asked, err := accessShape.decode(body)
	var owned []bool
	if err == nil {
		resources := make([]registry.Resource, len(asked))
		for i, o := range asked {
			resources[i] = o.Resource
		}
		owned, err = s.options.Verifier.Owned(ctx, asked[0].TenantID, resources)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer, err := json.Marshal(struct {
		Owned []bool `json:"owned"`
	}{owned})
	if err != nil {
		s.fail(w, r, fmt.Errorf("encode the answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(answer, '\n')) // the caller may be gone
}

// readList reads a body that lists resources. It answers 413 if the body is too
// long, or 400 if it is incomplete; then the connection is closed. The answer has
// the body's hash, so that a client can recognize an answer to another request.
func readList(w http.ResponseWriter, r *http.Request, shape *listShape) ([]byte, bool) {
	tooLarge := r.ContentLength > shape.maxLength // refused without reading it
	var body []byte
	if !tooLarge {
		var err error
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, shape.maxLength))
		var over *http.MaxBytesError
		if tooLarge = errors.As(err, &over); err != nil && !tooLarge {
			w.Header().Set("Connection", "close")
			problem.New(http.StatusBadRequest, "the request body could not be read").Write(w)
			return nil, false
		}
	}
	if tooLarge {
		w.Header().Set("Connection", "close")
		problem.New(http.StatusRequestEntityTooLarge,
			fmt.Sprintf("the body has more than %d bytes", shape.maxLength)).Write(w)
		return nil, false
	}
	hash := sha256.Sum256(body)
	w.Header().Set(askedHeader, "sha256:"+hex.EncodeToString(hash[:]))
	return body, true
}
