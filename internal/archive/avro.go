package archive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/linkedin/goavro/v2"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
)

// avroMagic are the first bytes of an Avro object container file
// (https://avro.apache.org/docs/1.12.0/specification/, "Object Container Files").
var avroMagic = []byte("Obj\x01")

func isAvro(input *bufio.Reader) bool {
	first, _ := input.Peek(len(avroMagic))
	return bytes.Equal(first, avroMagic)
}

// readMessages yields the messages that a subscription of Pub/Sub has written to Cloud
// Storage as Avro with metadata, each as a line: "The subscription name, message_id, and
// publish_time fields are put in their own fields while all other message properties
// other than data … are added as entries in the attributes map" (pubsub.proto,
// CloudStorageConfig.AvroConfig.write_metadata). Without metadata there are no
// attributes, and an event in binary mode is none.
func (r *Reader) readMessages(ctx context.Context, file string, input *bufio.Reader, yield func(Line, error) bool) bool {
	number := 0
	fail := func(err error) bool {
		yield(Line{File: file, Number: number}, fmt.Errorf("read archive %s, message %d: %w", file, number, err))
		return false
	}
	messages, err := goavro.NewOCFReader(input)
	if err != nil {
		return fail(err)
	}
	if r.Began != nil {
		r.Began(file, 1, nil)
	}
	for messages.Scan() {
		number++
		record, err := messages.Read()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if err != nil {
			return fail(err)
		}
		line := Line{File: file, Number: number}
		if line.Text, err = messageLine(record); err != nil && !errors.As(err, &line.Refusal) {
			return fail(err)
		}
		_, _ = r.current.Write(append(line.Text, '\n')) // a hash takes everything
		if !yield(line, nil) {
			return false
		}
	}
	if err := messages.Err(); err != nil {
		return fail(err)
	}
	return true
}

// messageLine is the line of a message.
func messageLine(record any) ([]byte, error) {
	fields, _ := record.(map[string]any)
	data, ok := fields["data"].([]byte)
	if !ok {
		return nil, errors.New("it has no field data of bytes, which each message has that a subscription of Pub/Sub writes: is it written by a schema of its topic?")
	}
	attributes := map[string]string{}
	values, _ := fields["attributes"].(map[string]any)
	for name, value := range values {
		attributes[name], _ = value.(string)
	}
	line, err := envelope.Structured(attributes, data)
	if err == nil && len(line) > envelope.MaxMessageBytes {
		err = &events.Refusal{Reason: events.TooLarge, Detail: fmt.Sprintf("message: %d bytes, more than %d", len(line), envelope.MaxMessageBytes)}
		line = nil
	}
	return line, err
}
