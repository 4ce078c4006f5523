package source

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Request is the configuration of one request to a token endpoint. Programs see
// every credential by name, `$timestamp`, `$nonce`, and when renewing
// `$access_token` and `$refresh_token`. Each yields an object; a member that is
// null is not sent, save in JSON.
type Request struct {
	// Default: the dialect's, else POST.
	Method string `json:"method,omitempty"`
	// An http or https URL. A query in it goes before that of Query.
	URL string `json:"url,omitempty"`
	// Header fields, over `Accept`, `User-Agent` and `Content-Type`.
	Headers string `json:"headers,omitempty"`
	// Query parameters.
	Query string `json:"query,omitempty"`
	// The members of a form body, instead of JSON.
	Form string `json:"form,omitempty"`
	// The JSON body.
	JSON string `json:"json,omitempty"`
}

var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch}

// over completes r with the dialect's request. Any program in r replaces the
// dialect's request whole.
func (r *Request) over(dialect *Request) *Request {
	if r == nil {
		return nil // a dialect has no URL to go to
	}
	m := *r
	if dialect != nil && r.Headers == "" && r.Query == "" && r.Form == "" && r.JSON == "" {
		m = *dialect
		m.URL = r.URL
		m.Method = cmp.Or(r.Method, dialect.Method)
	}
	m.Method = cmp.Or(m.Method, http.MethodPost)
	return &m
}

// check tells what is wrong with r before anything is resolved.
func (r *Request) check() error {
	if !slices.Contains(methods, r.Method) {
		return fmt.Errorf("the method %q can't ask for a token; use one of %s", r.Method, strings.Join(methods, ", "))
	}
	if r.JSON != "" && r.Form != "" {
		return errors.New("json and form are two bodies; write one of them")
	}
	if r.Method == http.MethodGet && (r.JSON != "" || r.Form != "") {
		return errors.New("a GET has no body; write `query` instead of json or form, or another method")
	}
	if r.URL == "" {
		return errors.New("the URL is missing; write the whole one, as https://crm.example.com/token/get")
	}
	if strings.Contains(r.URL, "{") {
		return nil // a placeholder; checked when it is resolved
	}
	_, err := parseURL(r.URL)
	return err
}

// parseURL reads the URL of a token endpoint.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// the parser's message repeats the URL, which may hold a secret by now
		return nil, errors.New("the URL can't be read; write it like https://crm.example.com/token/get")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, errors.New("the URL needs a scheme and a host, as https://crm.example.com/token/get")
	case u.User != nil:
		return nil, errors.New("the URL holds a user name or password; write them as credentials and send them with `headers`")
	case u.Fragment != "":
		return nil, errors.New("the URL has a fragment (#…), which is never sent; leave it out")
	}
	return u, nil
}
