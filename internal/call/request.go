package call

import (
	"net/http"
	"strings"
)

// Request is the $request of jq programs:
//
//	{
//		"method":  "POST",
//		"path":    "/ivr/order",              decoded
//		"query":   {"tel": "138…"},           as sent, {} without one
//		"form":    {"tag": ["a", "b"]},       as sent, {} without one
//		"body":    {"tel": "138…"},           a JSON body, null without one
//		"headers": {"user-agent": "…"},       names in lower case, with host
//		"ip":      "192.0.2.1"
//	}
//
// A header that comes more than once is an array. NUL and bytes that are not
// UTF-8 become U+FFFD in headers, where old clients still send Latin-1. The
// result shares parts with in and is read-only.
func (in *Input) Request(r *http.Request, ip string) map[string]any {
	return map[string]any{
		"method":  r.Method,
		"path":    r.URL.Path,
		"query":   orEmpty(in.Query),
		"form":    orEmpty(in.Form),
		"body":    in.Body,
		"headers": headers(r),
		"ip":      ip,
	}
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

func headers(r *http.Request) map[string]any {
	m := make(map[string]any, len(r.Header)+1)
	m["host"] = text(r.Host)
	for name, values := range r.Header {
		name = strings.ToLower(text(name))
		switch len(values) {
		case 0:
		case 1:
			m[name] = text(values[0])
		default:
			list := make([]any, len(values))
			for i, v := range values {
				list[i] = text(v)
			}
			m[name] = list
		}
	}
	return m
}

func text(s string) string {
	const replacement = "\uFFFD"
	return strings.ReplaceAll(strings.ToValidUTF8(s, replacement), "\x00", replacement)
}
