package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// fields are a request's parameters. The protocol names them but leaves open
// how they travel, so query, form and JSON are all read, and told apart.
type fields struct {
	query url.Values
	body  url.Values
	kind  string          // of the body: "json", "form" or ""
	nums  map[string]bool // JSON fields that are numbers
	err   error           // the query or the body is malformed
}

// readFields takes a request apart. Of a JSON body it reads the strings and
// numbers at the top.
func readFields(r *http.Request, body []byte) fields {
	f := fields{body: url.Values{}, nums: map[string]bool{}}
	f.query, f.err = url.ParseQuery(r.URL.RawQuery)
	if len(body) == 0 {
		return f
	}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var err error
	switch {
	case mediaType == "application/x-www-form-urlencoded":
		f.kind = "form"
		f.body, err = url.ParseQuery(string(body))
	case mediaType == "application/json", strings.HasSuffix(mediaType, "+json"):
		f.kind = "json"
		err = f.readJSON(body)
	}
	f.err = errors.Join(f.err, err)
	return f
}

func (f *fields) readJSON(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var top map[string]any
	if err := dec.Decode(&top); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON document")
	}
	for name, v := range top {
		switch v := v.(type) {
		case string:
			f.body.Set(name, v)
		case json.Number:
			f.body.Set(name, v.String())
			f.nums[name] = true
		}
	}
	return nil
}

// all are a parameter's values, wherever they came.
func (f *fields) all(name string) []string {
	return slices.Concat(f.query[name], f.body[name])
}

// get is a parameter's first value, "" without one.
func (f *fields) get(name string) string {
	if vs := f.all(name); len(vs) > 0 {
		return vs[0]
	}
	return ""
}

// via says how the parameters travelled.
func (f *fields) via() string {
	switch {
	case f.kind == "" && len(f.query) > 0:
		return "query"
	case len(f.query) > 0:
		return f.kind + "+query"
	default:
		return f.kind
	}
}
