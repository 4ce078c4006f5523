package api

import (
	"io"
	"net/http"
	"net/url"

	"golang.org/x/net/http/httpguts"

	"github.com/switchboard-ivr/switchboard/internal/jqhttp"
	"github.com/switchboard-ivr/switchboard/module/span"
)

func validHeaderName(name string) bool { return httpguts.ValidHeaderFieldName(name) }

// addHeaders sets the request's headers. Those of an API call are ours alone; a
// sidecar's are the phone system's, less what opened the door, which [route.Gate]
// has taken out.
func (c *run) addHeaders(req *http.Request, vars []any) bool {
	a := c.api
	if !a.target.sidecar() {
		// present and empty: reverse_proxy leaves them out
		req.Header["X-Forwarded-For"] = nil
		req.Header["X-Forwarded-Host"] = nil
		req.Header["X-Forwarded-Proto"] = nil
		req.Header["User-Agent"] = []string{"switchboard"}
		req.Header["Accept"] = []string{"application/json"}
	}
	if a.buffered {
		// what is looked into has to be whole and readable
		for _, name := range []string{"Accept-Encoding", "Range", "If-Range", "If-None-Match", "If-Modified-Since"} {
			delete(req.Header, name)
		}
	}
	req.Header["X-Request-Id"] = []string{c.ID}
	span.Pass(c.R.Context(), req.Header)
	if a.Pass != nil {
		for _, name := range a.Pass.Headers {
			if v := c.R.Header.Values(name); len(v) > 0 {
				req.Header[http.CanonicalHeaderKey(name)] = v
			}
		}
	}
	for name, value := range a.SetHeaders {
		value, _, err := jqhttp.Header(name, c.Repl.ReplaceAll(value, ""))
		if err != nil {
			return c.failed("headers", err)
		}
		req.Header.Set(name, value)
	}
	if a.programs.headers == nil {
		return true
	}
	return c.computeHeaders(req, vars)
}

func (c *run) computeHeaders(req *http.Request, vars []any) bool {
	program := c.api.programs.headers
	body := ""
	if req.GetBody != nil && program.Uses("body") {
		r, _ := req.GetBody()
		text, _ := io.ReadAll(r)
		body = string(text)
	}
	address := url.URL{Scheme: c.api.target.scheme, Host: req.Host, Path: req.URL.Path, RawPath: req.URL.RawPath, RawQuery: req.URL.RawQuery}
	vars = append(vars, address.String(), req.URL.RawQuery, body)
	object, err := program.Run(c.Ctx, c.Input.Params, vars...)
	if err != nil {
		return c.failed("headers", err)
	}
	for name, v := range object.(map[string]any) {
		value, keep, err := jqhttp.Header(name, v)
		switch {
		case err != nil:
			return c.failed("headers", err)
		case !keep:
			req.Header.Del(name)
		case http.CanonicalHeaderKey(name) == "Host":
			req.Host = value
		default:
			req.Header.Set(name, value)
		}
	}
	return true
}
