package token

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/switchboard-ivr/switchboard/internal/jq"
)

// Names and values are left out of these: either may come from a credential.
var (
	errScalar  = errors.New("a value is neither text, a number, true nor false")
	errHeader  = errors.New("a name or value can't be a header's")
	errFraming = errors.New("a header is one that the connection itself writes")
)

// build runs the programs and makes the request. What fails here has not been
// sent, and will fail again until the configuration is changed.
func (r *requestPrograms) build(ctx context.Context, u *url.URL, vars []any) (*http.Request, *Failure) {
	fail := func(program, why string) (*http.Request, *Failure) {
		if ctx.Err() != nil {
			why = reason(ctx, ctx.Err())
		}
		return nil, &Failure{Kind: Invalid, Reason: r.setting + " " + program + ": " + why + "; nothing was sent"}
	}
	header := http.Header{
		"Accept":     {"application/json"},
		"User-Agent": {"switchboard"},
		// compressed, an answer that small gains nothing
		"Accept-Encoding": {"identity"},
	}
	var body string
	switch {
	case r.json != nil:
		object, err := r.json.Run(ctx, nil, vars...)
		if err != nil {
			return fail("json", plain(err))
		}
		data, err := jq.Encode(nil, object, jq.Limits{})
		if err != nil {
			return fail("json", plain(err))
		}
		body = string(data)
		header.Set("Content-Type", "application/json")
	case r.form != nil:
		encoded, err := encodeParameters(ctx, r.form, vars)
		if err != nil {
			return fail("form", plain(err))
		}
		body = encoded
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	target := *u
	if r.query != nil {
		encoded, err := encodeParameters(ctx, r.query, vars)
		if err != nil {
			return fail("query", plain(err))
		}
		target.RawQuery = strings.Trim(target.RawQuery+"&"+encoded, "&")
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), strings.NewReader(body))
	if err != nil {
		return fail("url", "it can't be requested")
	}
	if body == "" {
		req.Body, req.GetBody = nil, nil
	}
	req.Header = header
	if r.headers != nil {
		object, err := r.headers.Run(ctx, nil, vars...)
		if err != nil {
			return fail("headers", plain(err))
		}
		if err := setHeaders(req, object.(map[string]any)); err != nil {
			return fail("headers", plain(err))
		}
	}
	return req, nil
}

func encodeParameters(ctx context.Context, p *jq.Program, vars []any) (string, error) {
	object, err := p.Run(ctx, nil, vars...)
	if err != nil {
		return "", err
	}
	return parameters(object.(map[string]any))
}

// setHeaders sets the members of an object as header fields; null takes one away.
func setHeaders(req *http.Request, object map[string]any) error {
	for name, value := range object {
		if !httpguts.ValidHeaderFieldName(name) {
			return errHeader
		}
		name = http.CanonicalHeaderKey(name)
		if value == nil {
			// net/http would fill in its own
			req.Header[name] = nil
			if name == "User-Agent" {
				req.Header[name] = []string{""}
			}
			continue
		}
		text, ok := scalar(value)
		if !ok || !httpguts.ValidHeaderFieldValue(text) {
			return errHeader
		}
		switch name {
		case "Host":
			req.Host = text
		case "Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Upgrade":
			return errFraming
		default:
			req.Header.Set(name, text)
		}
	}
	return nil
}

// plain drops the package name from an error of jq.
func plain(err error) string { return strings.TrimPrefix(err.Error(), "jq: ") }

// parameters encodes an object for a query or a form: scalars as they are
// written, an array as one parameter for each of its values, null as none.
func parameters(object map[string]any) (string, error) {
	values := make(url.Values, len(object))
	for name, value := range object {
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, item := range list {
			if item == nil {
				continue
			}
			text, ok := scalar(item)
			if !ok {
				return "", errScalar
			}
			values.Add(name, text)
		}
	}
	return values.Encode(), nil
}

// scalar gives the text of a value as jq's tostring would, so that what is sent
// is what a program has signed.
func scalar(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "", false
		}
	case int, *big.Int, json.Number:
	default:
		return "", false
	}
	text, err := jq.Encode(nil, value, jq.Limits{})
	return string(text), err == nil
}
