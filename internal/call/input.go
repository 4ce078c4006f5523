package call

import (
	"bytes"
	"maps"
	"net/http"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// Input is what a phone system sent, checked and decoded. All of it is valid
// UTF-8 without NUL, of the types that jq works with (nil, bool, json.Number,
// string, []any, map[string]any), and read-only: its maps share parts.
type Input struct {
	// Params are query, form and JSON body as one object, the later winning
	// name by name. Blank values (nothing, only blanks, null) are not in it.
	// Values of query and form are strings, or arrays of strings where a name
	// repeats; those of a JSON body are what they are.
	Params map[string]any
	// Query and Form are as sent, blank values included. Query is nil without
	// a query, Form where the body was no form.
	Query, Form map[string]any
	// Body is the decoded JSON body, nil where the body was something else.
	Body any
	// Raw is the body as it was read, nil when it was empty.
	Raw []byte
	// ContentType is the request's header of that name.
	ContentType string
}

// ReadInput reads what r carries, in the query, in a body (a form, a multipart
// form without files, a JSON object), or in both. Everything in the query of a
// POST is as good as a GET with a body.
//
// Every error is a *InputError. Reading ends when r's context does; see
// [AbortReads] for a body that stalls.
func ReadInput(r *http.Request, l Limits) (*Input, error) {
	l = l.orDefaults()
	if err := checkText("path", r.URL.Path); err != nil {
		return nil, err
	}
	if len(r.URL.RawQuery) > l.Query {
		return nil, refuse(http.StatusRequestURITooLong, "query: more than %d bytes", l.Query)
	}
	if err := l.reserve(jsonval.ForRequest, len(r.URL.RawQuery)); err != nil {
		return nil, err
	}
	query, err := parsePairs("query", r.URL.RawQuery, l)
	if err != nil {
		return nil, err
	}
	in := &Input{Query: query.values, Params: query.given(), ContentType: r.Header.Get("Content-Type")}
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		if err := in.readBody(r, l); err != nil {
			return nil, err
		}
	}
	if in.Params == nil {
		in.Params = map[string]any{}
	}
	return in, nil
}

func (in *Input) readBody(r *http.Request, l Limits) error {
	kind, err := bodyKind(r.Header)
	if err != nil && r.ContentLength > 0 {
		return err // before anything of it is read
	}
	raw, readErr := readAll(r, l)
	if readErr != nil {
		return readErr
	}
	if len(raw) > 0 {
		in.Raw = raw
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	switch kind.media {
	case mediaJSON:
		doc, err := decodeObject(raw, l)
		if err != nil {
			return err
		}
		in.Body = doc
		in.merge(Given(doc))
		return nil
	case mediaMultipart:
		if err := l.reserve(jsonval.ForRequest, 2*len(raw)); err != nil {
			return err
		}
		form, err := parseMultipart(raw, kind.boundary, l)
		if err != nil {
			return err
		}
		in.Form = form.values
		in.merge(form.given())
		return nil
	default:
		if err := l.reserve(jsonval.ForRequest, 2*len(raw)); err != nil {
			return err
		}
		form, err := parseForm(raw, l)
		if err != nil {
			return err
		}
		in.Form = form.values
		in.merge(form.given())
		return nil
	}
}

// merge puts later parameters over the ones there are.
func (in *Input) merge(later map[string]any) {
	if len(in.Params) == 0 {
		in.Params = later
		return
	}
	if len(later) > 0 {
		in.Params = maps.Clone(in.Params)
		maps.Copy(in.Params, later)
	}
}
