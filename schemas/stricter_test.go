package schemas_test

import (
	"fmt"
	"reflect"
	"slices"
)

// stricter names what the new schema may refuse and the old one takes, by
// keyword. It does not weigh what it does not know: any other change of a
// keyword is refused. A new optional property is allowed, although data may have
// had a member of that name: names are the contract's to give.
func stricter(place string, released, edited map[string]any) []string {
	var faults []string
	fault := func(keyword, format string, args ...any) {
		faults = append(faults, place+"/"+keyword+": "+fmt.Sprintf(format, args...))
	}
	keywords := map[string]bool{}
	for _, schema := range []map[string]any{released, edited} {
		for keyword := range schema {
			keywords[keyword] = true
		}
	}
	for keyword := range keywords {
		before, was := released[keyword]
		now, is := edited[keyword]
		switch keyword {
		case "title", "description", "examples", "$comment":
		case "properties":
			old, _ := before.(map[string]any)
			for name, schema := range old {
				next, ok := properties(edited)[name].(map[string]any)
				if !ok {
					fault(keyword+"/"+name, "removed")
					continue
				}
				faults = append(faults, stricter(place+"/properties/"+name, schema.(map[string]any), next)...)
			}
		case "items":
			switch {
			case !was:
				fault(keyword, "new")
			case is:
				faults = append(faults, stricter(place+"/items", before.(map[string]any), now.(map[string]any))...)
			}
		case "required":
			for _, name := range list(now) {
				if !slices.Contains(list(before), name) {
					fault(keyword, "%v is new", name)
				}
			}
		case "type", "enum":
			if is && !was {
				fault(keyword, "new")
			}
			for _, value := range list(before) {
				if is && !slices.Contains(list(now), value) {
					fault(keyword, "%v is gone", value)
				}
			}
		case "minItems", "minLength", "minProperties", "minimum", "exclusiveMinimum":
			if is && !was {
				fault(keyword, "new")
			} else if is && now.(float64) > before.(float64) {
				fault(keyword, "%v is more than %v", now, before)
			}
		case "maxItems", "maxLength", "maxProperties", "maximum", "exclusiveMaximum":
			if is && !was {
				fault(keyword, "new")
			} else if is && now.(float64) < before.(float64) {
				fault(keyword, "%v is less than %v", now, before)
			}
		case "additionalProperties":
			if is && now != true && !reflect.DeepEqual(before, now) {
				fault(keyword, "closed")
			}
		case "uniqueItems":
			if now == true && before != true {
				fault(keyword, "new")
			}
		case "pattern":
			if is && before != now {
				fault(keyword, "changed")
			}
		default:
			if !reflect.DeepEqual(before, now) {
				fault(keyword, "changed")
			}
		}
	}
	return faults
}

func properties(schema any) map[string]any {
	found, _ := schema.(map[string]any)["properties"].(map[string]any)
	return found
}

func property(schema map[string]any, name string) map[string]any {
	return properties(schema)[name].(map[string]any)
}

func list(value any) []any {
	switch value := value.(type) {
	case nil:
		return nil
	case []any:
		return value
	}
	return []any{value}
}
