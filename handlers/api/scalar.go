package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/switchboard-ivr/switchboard/internal/jq"
)

// scalar writes a text, number or boolean as it goes into a URL, a form or a
// header: numbers as written.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case int:
		return strconv.Itoa(v), true
	case bool:
		return strconv.FormatBool(v), true
	case nil, map[string]any, []any:
		return "", false
	default: // float64, *big.Int
		text, err := jq.Encode(nil, v, jq.Limits{})
		return string(text), err == nil
	}
}

// encode writes the parameters of a query or form, sorted by name, of a
// program's object. Null leaves one out, an array repeats it.
func encode(object map[string]any) (string, error) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(object)) {
		switch v := object[name].(type) {
		case nil:
		case []any:
			for _, item := range v {
				s, ok := scalar(item)
				if !ok {
					return "", fmt.Errorf("parameter %q holds something else than texts and numbers", name)
				}
				add(&b, name, s)
			}
		default:
			s, ok := scalar(v)
			if !ok {
				return "", fmt.Errorf("parameter %q is an object; a parameter is a text or number", name)
			}
			add(&b, name, s)
		}
	}
	return b.String(), nil
}

func add(b *strings.Builder, name, value string) {
	if b.Len() > 0 {
		b.WriteByte('&')
	}
	b.WriteString(url.QueryEscape(name))
	b.WriteByte('=')
	b.WriteString(url.QueryEscape(value))
}
