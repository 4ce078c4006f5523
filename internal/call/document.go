package call

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// decodeObject decodes a JSON body.
func decodeObject(raw []byte, l Limits) (map[string]any, error) {
	if !utf8.Valid(raw) { // the decoder would replace it silently
		return nil, refuse(http.StatusBadRequest, "json: not UTF-8")
	}
	doc, err := jsonval.Decode(raw, jsonval.Limits{Bytes: len(raw), Depth: l.Depth, Room: l.Room, Purpose: jsonval.ForRequest})
	switch {
	case errors.Is(err, jsonval.ErrNoRoom), errors.Is(err, jsonval.ErrTooMuch):
		return nil, refuseMemory(err)
	case errors.Is(err, jsonval.ErrDeadline):
		return nil, refuse(http.StatusServiceUnavailable, "json: took too long to read")
	case errors.Is(err, jsonval.ErrTooLarge):
		return nil, refuse(http.StatusBadRequest, "json: too deep, or a number is too long")
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "json: not one JSON document")
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, refuse(http.StatusBadRequest, "json: not an object")
	}
	if len(object) > l.Params {
		return nil, refuse(http.StatusBadRequest, "json: more than %d parameters", l.Params)
	}
	if bytes.Contains(raw, []byte(`\u0000`)) && hasNUL(object) {
		return nil, refuse(http.StatusBadRequest, "json: a NUL byte")
	}
	return object, nil
}

func hasNUL(doc any) bool {
	switch v := doc.(type) {
	case string:
		return strings.IndexByte(v, 0) >= 0
	case []any:
		return slices.ContainsFunc(v, hasNUL)
	case map[string]any:
		for name, value := range v {
			if hasNUL(name) || hasNUL(value) {
				return true
			}
		}
	}
	return false
}

// Given returns the members of an object that are not blank. What is
// inside their values is left as it is.
func Given(object map[string]any) map[string]any {
	given := maps.Clone(object)
	maps.DeleteFunc(given, func(_ string, v any) bool {
		s, ok := v.(string)
		return v == nil || ok && isBlank(s)
	})
	return given
}

// HasContent reports whether there is anything in a value that isn't null or
// blank, at any depth.
func HasContent(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case string:
		return !isBlank(v)
	case []any:
		return slices.ContainsFunc(v, HasContent)
	case map[string]any:
		for _, member := range v {
			if HasContent(member) {
				return true
			}
		}
		return false
	default:
		return true
	}
}
