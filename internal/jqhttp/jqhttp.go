// Package jqhttp writes the values that jq programs yield into an HTTP request:
// as query or form parameters, header fields and path segments. It is the one
// way for both APIs and token endpoints, so that the same program sends the
// same bytes to either.
//
// Errors name the parameter or header, never a value.
package jqhttp

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/http/httpguts"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

var (
	errNull   = errors.New("is null; text, a number or a boolean is needed")
	errArray  = errors.New("is an array; text, a number or a boolean is needed")
	errNested = errors.New("has an array within an array; text, numbers and booleans are needed")
	errObject = errors.New("is an object; text, a number or a boolean is needed")
	errNumber = errors.New("is a number that JSON can't write (NaN or infinite)")
)

// Scalar returns the text of a string, a number or a boolean: strings as they
// are, numbers as written. Null, arrays, objects, NaN and infinities are errors
// that continue a sentence: "is null; …".
func Scalar(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", errNull
	case []any:
		return "", errArray
	case map[string]any:
		return "", errObject
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "", errNumber
		}
	}
	text, ok := jsonval.Text(v)
	if !ok {
		return "", errors.New("is not a JSON value")
	}
	return text, nil
}

// Values encodes the members of an object as application/x-www-form-urlencoded
// parameters, sorted by name. Null leaves a parameter out; an array repeats it,
// once for each element that isn't null. Any other value is written by Scalar.
func Values(object map[string]any) (string, error) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(object)) {
		list, isArray := object[name].([]any)
		if !isArray {
			if err := add(&b, name, object[name]); err != nil {
				return "", err
			}
			continue
		}
		for _, item := range list {
			if _, nested := item.([]any); nested {
				return "", fmt.Errorf("parameter%s %w", quoted(name), errNested)
			}
			if err := add(&b, name, item); err != nil {
				return "", err
			}
		}
	}
	return b.String(), nil
}

// Query is Values for the query of a URL: a blank is %20. All who read a query take
// it for a blank, while + is one only in forms; and signatures are made of it.
func Query(object map[string]any) (string, error) {
	form, err := Values(object)
	return strings.ReplaceAll(form, "+", "%20"), err
}

func add(b *strings.Builder, name string, v any) error {
	if v == nil {
		return nil
	}
	text, err := Scalar(v)
	if err != nil {
		return fmt.Errorf("parameter%s %w", quoted(name), err)
	}
	if b.Len() > 0 {
		b.WriteByte('&')
	}
	b.WriteString(url.QueryEscape(name))
	b.WriteByte('=')
	b.WriteString(url.QueryEscape(text))
	return nil
}

// JSON encodes a value as a JSON body, up to 1 MiB. NaN and infinities are errors.
func JSON(v any) ([]byte, error) { return jsonval.EncodeFinite(nil, v, jsonval.Limits{}) }

// framing lists the header fields that the connection itself writes.
var framing = []string{
	"Connection", "Content-Length", "Keep-Alive", "Proxy-Connection", "Trailer", "Transfer-Encoding", "Upgrade",
}

// Header returns the value of a header field. Null gives keep == false: the
// field is to be removed. Everything that net/http would refuse to send is an
// error here: a name that isn't a token (RFC 9110, section 5.6.2), a value with
// a line break or another control character, a Host that isn't one. So is a
// field that frames the message, such as Content-Length.
func Header(name string, v any) (value string, keep bool, err error) {
	if !httpguts.ValidHeaderFieldName(name) {
		return "", false, errors.New("a header's name is blank or has a character that header names can't have")
	}
	if v == nil {
		return "", false, nil
	}
	name = http.CanonicalHeaderKey(name)
	if slices.Contains(framing, name) {
		return "", false, fmt.Errorf("header %q is written by the connection itself and can't be set", name)
	}
	value, err = Scalar(v)
	if err != nil {
		return "", false, fmt.Errorf("header%s %w", quoted(name), err)
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return "", false, fmt.Errorf("header%s has a line break or another control character in its value", quoted(name))
	}
	if name == "Host" && !validHost(value) {
		return "", false, errors.New(`header "Host" is not a host name, with or without a port`)
	}
	return value, true, nil
}

func validHost(value string) bool {
	host, err := httpguts.PunycodeHostPort(value)
	return err == nil && httpguts.ValidHostHeader(host)
}

// Segments joins path segments, each behind a "/": decoded as they are, and raw
// with everything but unreserved characters percent-encoded, "/" included. A
// blank segment is an error, and so is one that holds a dot segment: see
// Climbs. The error counts segments from 1.
func Segments(segments []any) (decoded, raw string, err error) {
	var d, r strings.Builder
	for i, segment := range segments {
		s, err := Scalar(segment)
		switch {
		case err != nil:
			return "", "", fmt.Errorf("path segment %d %w", i+1, err)
		case Climbs(s):
			return "", "", fmt.Errorf(`path segment %d holds "." or ".." as a segment of its own, which leads to another path`, i+1)
		case strings.TrimFunc(s, invisible) == "":
			return "", "", fmt.Errorf("path segment %d is blank", i+1)
		}
		d.WriteByte('/')
		d.WriteString(s)
		r.WriteByte('/')
		r.WriteString(url.PathEscape(s))
	}
	return d.String(), r.String(), nil
}

// quoted returns a name for a message, with a blank before it, or "" for one
// that doesn't look like a name: keys can be computed from data, and a telephone
// number or an email must not get into a log.
func quoted(name string) string {
	for i, c := range name {
		if !unicode.IsLetter(c) && c != '_' && (i == 0 || !unicode.IsDigit(c) && !strings.ContainsRune("-.:[]", c)) {
			return ""
		}
	}
	if name == "" || len(name) > 64 {
		return ""
	}
	return " " + strconv.Quote(name)
}
