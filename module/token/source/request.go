package source

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jqhttp"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// Request is the configuration of one request to a token endpoint. Programs see
// every credential by name, `$timestamp`, `$nonce`, `$url` (URL, resolved), and
// when renewing `$access_token` and `$refresh_token`. Each yields an object; a member that is
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

// check reports what is wrong with r before anything is resolved.
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

// build runs the programs and makes the request. What fails here has not been
// sent, and will fail again until the configuration is changed.
func (r *requestPrograms) build(ctx context.Context, u *url.URL, vars []any) (*http.Request, *token.Failure) {
	var failure *token.Failure
	fail := func(part, why string) {
		if ctx.Err() != nil {
			why = reason(ctx, ctx.Err())
		}
		failure = &token.Failure{Kind: token.Invalid, Reason: r.setting + " " + part + ": " + without(why, vars) + "; nothing was sent"}
	}
	// part uses the object that a program makes, if there is one.
	part := func(name string, p *jq.Program, use func(object map[string]any) error) {
		if p == nil || failure != nil {
			return
		}
		object, err := p.Run(ctx, nil, append(slices.Clip(vars), u.String())...)
		if err == nil {
			err = use(object.(map[string]any))
		}
		if err != nil {
			fail(name, plain(err))
		}
	}
	header := http.Header{
		"Accept":     {"application/json"},
		"User-Agent": {"switchboard"},
		// compressed, an answer that small gains nothing
		"Accept-Encoding": {"identity"},
	}
	target, body := *u, ""
	part("json", r.json, func(object map[string]any) error {
		header.Set("Content-Type", "application/json")
		data, err := jqhttp.JSON(object)
		body = string(data)
		return err
	})
	part("form", r.form, func(object map[string]any) (err error) {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
		body, err = jqhttp.Values(object)
		return err
	})
	part("query", r.query, func(object map[string]any) error {
		query, err := jqhttp.Query(object)
		target.RawQuery = strings.Trim(target.RawQuery+"&"+query, "&")
		return err
	})
	if failure != nil {
		return nil, failure
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), strings.NewReader(body))
	if err != nil {
		fail("url", "it can't be requested")
		return nil, failure
	}
	if body == "" {
		req.Body, req.GetBody = nil, nil
	}
	req.Header = header
	part("headers", r.headers, func(object map[string]any) error { return setHeaders(req, object) })
	return req, failure
}

// setHeaders sets the members of an object as header fields; null takes one away.
func setHeaders(req *http.Request, object map[string]any) error {
	for name, value := range object {
		text, keep, err := jqhttp.Header(name, value)
		if err != nil {
			return err
		}
		switch name = http.CanonicalHeaderKey(name); {
		case keep && name == "Host":
			req.Host = text
		case keep:
			req.Header.Set(name, text)
		case name == "User-Agent": // net/http would fill in its own
			req.Header[name] = []string{""}
		default:
			req.Header[name] = nil
		}
	}
	return nil
}

// without takes the values of variables out of a message. A program can make a
// parameter's name, which messages show, from a credential.
func without(why string, vars []any) string {
	for _, v := range vars {
		if s, ok := v.(string); ok && len(s) > 3 {
			why = strings.ReplaceAll(why, s, "***")
		}
	}
	return why
}

// plain drops the package name from an error of jq.
func plain(err error) string { return strings.TrimPrefix(err.Error(), "jq: ") }

// stamp makes the value of $timestamp.
type stamp struct {
	layout string // "ms", "s" or a Go layout
	zone   *time.Location
}

// newStamp parses the arguments of `timestamp`. Blank ones mean ms and UTC.
func newStamp(layout, zone string) (stamp, error) {
	s := stamp{layout: cmp.Or(layout, "ms"), zone: time.UTC}
	switch unix := s.layout == "ms" || s.layout == "s"; {
	case !unix && !isLayout(layout):
		return s, fmt.Errorf("timestamp %q is neither ms, s nor a layout; a layout is Go's reference time as you want it, such as \"2006-01-02 15:04:05\"", layout)
	case unix && zone != "":
		return s, fmt.Errorf("timestamp %s takes no zone: Unix time is the same in all", s.layout)
	case zone == "":
		return s, nil
	}
	var err error
	s.zone, err = location(zone)
	return s, err
}

// isLayout reports whether a text is a Go layout, and not what other languages call
// one, which Go would send as it stands: "yyyy-MM-dd" or "%Y-%m-%d".
func isLayout(layout string) bool {
	foreign := slices.ContainsFunc([]string{"yy", "YY", "MM", "dd", "DD", "HH", "mm", "%"}, func(element string) bool {
		return strings.Contains(layout, element)
	})
	// this time differs from the reference time in every element
	return !foreign && time.Date(2021, 11, 30, 18, 49, 58, 0, time.UTC).Format(layout) != layout
}

// location finds a zone: "Asia/Shanghai", "UTC", or an offset such as "+08:00".
func location(zone string) (*time.Location, error) {
	if strings.HasPrefix(zone, "+") || strings.HasPrefix(zone, "-") {
		at, err := time.Parse("-07:00", zone)
		if err != nil {
			return nil, fmt.Errorf("zone %q is not an offset; write it like +08:00", zone)
		}
		_, offset := at.Zone()
		return time.FixedZone(zone, offset), nil
	}
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return nil, fmt.Errorf("zone %q is unknown; write a name such as Asia/Shanghai or an offset such as +08:00", zone)
	}
	return loc, nil
}

// at returns $timestamp: a number for ms and s, a string for a layout.
func (s stamp) at(now time.Time) any {
	switch s.layout {
	case "ms":
		return int(now.UnixMilli())
	case "s":
		return int(now.Unix())
	default:
		return now.In(s.zone).Format(s.layout)
	}
}

// Nonce makes a value of $nonce: 32 random hex digits.
func Nonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}
