package verifierhttp

import "io"

// body is the body of a request that was let in. Once the claim is lost, Read fails
// with the cause, and returns nothing that arrived later.
type body struct {
	io.ReadCloser
	stream  *stream
	reading turn
}

func (b *body) Read(p []byte) (int, error) {
	b.reading.take()
	defer b.reading.release()
	if cause := b.stream.lost(); cause != nil {
		return 0, cause
	}
	n, err := b.ReadCloser.Read(p)
	if cause := b.stream.lost(); cause != nil {
		return 0, cause
	}
	return n, err
}
