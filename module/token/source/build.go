package source

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/switchboard-ivr/switchboard/module/token"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jqhttp"
)

// build runs the programs and makes the request. What fails here has not been
// sent, and will fail again until the configuration is changed.
func (r *requestPrograms) build(ctx context.Context, u *url.URL, vars []any) (*http.Request, *token.Failure) {
	fail := func(program, why string) (*http.Request, *token.Failure) {
		if ctx.Err() != nil {
			why = reason(ctx, ctx.Err())
		}
		return nil, &token.Failure{Kind: token.Invalid, Reason: r.setting + " " + program + ": " + without(why, vars) + "; nothing was sent"}
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
		data, err := jqhttp.JSON(object)
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
	return jqhttp.Values(object.(map[string]any))
}

// setHeaders sets the members of an object as header fields; null takes one away.
func setHeaders(req *http.Request, object map[string]any) error {
	for name, value := range object {
		text, keep, err := jqhttp.Header(name, value)
		if err != nil {
			return err
		}
		name = http.CanonicalHeaderKey(name)
		if !keep {
			// net/http would fill in its own
			req.Header[name] = nil
			if name == "User-Agent" {
				req.Header[name] = []string{""}
			}
			continue
		}
		if name == "Host" {
			req.Host = text
			continue
		}
		req.Header.Set(name, text)
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
