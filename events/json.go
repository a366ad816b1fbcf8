package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// parse decodes JSON as encoding/json does into an any, and refuses what
// encoding/json lets pass: text that is not UTF-8, and objects in which a name
// occurs twice. Of such an object some decoders take the first member and some
// the last: they could read two tenants.
func parse(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8")
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) {
			return nil, fmt.Errorf("not JSON that is understood: the %s is out of range", wrong.Value[:min(len(wrong.Value), 40)])
		}
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if membersIn(text) != members(tree) {
		return nil, fmt.Errorf("the name %s occurs twice in one object", shorten(repeatedName(text)))
	}
	return tree, nil
}

// membersIn counts the members of all objects in valid JSON. Each has one colon
// outside a string.
func membersIn(text []byte) int {
	n := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case ':':
			n++
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		}
	}
	return n
}

// members counts the members of all objects in what was decoded, in which a
// name that occurs twice is one member.
func members(tree any) int {
	n := 0
	switch value := tree.(type) {
	case map[string]any:
		n = len(value)
		for _, member := range value {
			n += members(member)
		}
	case []any:
		for _, item := range value {
			n += members(item)
		}
	}
	return n
}

// repeatedName finds a name that occurs twice in one object of valid JSON. It
// is slow, and only asked where there is one.
func repeatedName(text []byte) string {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	name, _ := repeatedNameIn(decoder)
	return name
}

func repeatedNameIn(decoder *json.Decoder) (string, bool) {
	token, err := decoder.Token()
	delimiter, opens := token.(json.Delim)
	if err != nil || !opens {
		return "", false
	}
	names := map[string]bool{}
	for decoder.More() {
		if delimiter == '{' {
			token, _ := decoder.Token()
			name, _ := token.(string)
			if names[name] {
				return name, true
			}
			names[name] = true
		}
		if name, ok := repeatedNameIn(decoder); ok {
			return name, true
		}
	}
	_, _ = decoder.Token() // the closing delimiter
	return "", false
}
