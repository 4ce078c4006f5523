package api

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/switchboard-ivr/switchboard/handlers/route"
)

// encode writes the parameters of a query or form, sorted by name, of a
// program's object. Null leaves one out, an array repeats it.
func encode(object map[string]any) (string, error) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(object)) {
		switch v := object[name].(type) {
		case nil:
		case []any:
			for _, item := range v {
				s, ok := route.Scalar(item)
				if !ok {
					return "", fmt.Errorf("parameter %q holds something else than texts and numbers", name)
				}
				add(&b, name, s)
			}
		default:
			s, ok := route.Scalar(v)
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
