package program

import (
	"net/http"
	"strings"
)

// Headers gives header fields the shape that programs see as `$headers`: an
// object of lower-case names and strings. Several lines of one field are joined
// by ", " (RFC 9110, section 5.3).
func Headers(h http.Header) map[string]any {
	object := make(map[string]any, len(h))
	for name, lines := range h {
		object[strings.ToLower(name)] = strings.Join(lines, ", ")
	}
	return object
}
