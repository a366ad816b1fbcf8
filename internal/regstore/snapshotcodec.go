package regstore

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// A chunk of a snapshot is a message of Protocol Buffers, compressed: a field
// chunkMove for each move, which is a message of the fields below. What has other
// fields, or none of these, is of a later release.
const chunkMove protowire.Number = 1

const (
	moveSource protowire.Number = iota + 1
	moveID
	moveSeconds // of the time, since 1970
	moveNanos
	moveFrom
	moveTo
	movePosition
	moveRetracted      // 1
	moveRetractionOnly // 1
)

func appendMove(chunk []byte, m ownership.Move) []byte {
	var b []byte
	text := func(field protowire.Number, s string) {
		if s != "" {
			b = protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
		}
	}
	number := func(field protowire.Number, n int64) {
		if n != 0 {
			b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), protowire.EncodeZigZag(n))
		}
	}
	text(moveSource, m.Source)
	text(moveID, m.ID)
	number(moveSeconds, m.Time.Unix())
	number(moveNanos, int64(m.Time.Nanosecond()))
	text(moveFrom, m.From)
	text(moveTo, m.To)
	number(movePosition, m.Position)
	number(moveRetracted, flag(m.Retracted))
	number(moveRetractionOnly, flag(m.RetractionOnly))
	return protowire.AppendBytes(protowire.AppendTag(chunk, chunkMove, protowire.BytesType), b)
}

// longestTenant is the length of the longest tenant id (registry.TenantPattern).
const longestTenant = 128

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// compress returns a chunk as it is stored. The format bears a checksum.
func compress(chunk []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(chunk)
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

// decodeChunk returns the moves of a chunk as it is stored.
func decodeChunk(stored []byte) (moves []ownership.Move, err error) {
	r, err := gzip.NewReader(bytes.NewReader(stored))
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	for len(raw) > 0 {
		field, kind, n := protowire.ConsumeTag(raw)
		if n < 0 || field != chunkMove || kind != protowire.BytesType {
			return nil, fmt.Errorf("move %d is none", len(moves))
		}
		text, m := protowire.ConsumeBytes(raw[n:])
		if m < 0 {
			return nil, fmt.Errorf("move %d: %w", len(moves), protowire.ParseError(m))
		}
		move, err := consumeMove(text)
		if err != nil {
			return nil, fmt.Errorf("move %d: %w", len(moves), err)
		}
		moves, raw = append(moves, move), raw[n+m:]
	}
	return moves, nil
}

func consumeMove(b []byte) (m ownership.Move, err error) {
	var seconds, nanos int64
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return m, protowire.ParseError(n)
		}
		b = b[n:]
		var text string
		var number int64
		switch kind {
		case protowire.BytesType:
			text, n = protowire.ConsumeString(b)
		case protowire.VarintType:
			var value uint64
			value, n = protowire.ConsumeVarint(b)
			number = protowire.DecodeZigZag(value)
		default:
			return m, fmt.Errorf("field %d is unknown", field)
		}
		if n < 0 {
			return m, protowire.ParseError(n)
		}
		b = b[n:]
		switch {
		case field == moveSource && number == 0:
			m.Source = text
		case field == moveID && number == 0:
			m.ID = text
		case field == moveFrom && number == 0:
			m.From = text
		case field == moveTo && number == 0:
			m.To = text
		case field == moveSeconds && text == "":
			seconds = number
		case field == moveNanos && text == "":
			nanos = number
		case field == movePosition && text == "":
			m.Position = number
		case field == moveRetracted && number == 1:
			m.Retracted = true
		case field == moveRetractionOnly && number == 1:
			m.RetractionOnly = true
		default:
			return m, fmt.Errorf("field %d is unknown", field)
		}
	}
	m.Time = time.Unix(seconds, nanos).UTC()
	return m, implausible(m)
}

// implausible returns why a move of a snapshot cannot be one.
func implausible(m ownership.Move) error {
	switch {
	case m.Source == "" || m.ID == "":
		return errors.New("it names no event")
	case m.Position < 0:
		return errors.New("it has no position")
	case m.RetractionOnly && m.Retracted:
		return nil
	case m.RetractionOnly:
		return errors.New("it is neither a move nor a retraction")
	}
	if n, k := len(m.From), len(m.To); min(n, k) == 0 || max(n, k) > longestTenant { // more is said by the checksum
		return errors.New("it has no two tenants")
	}
	return nil
}
