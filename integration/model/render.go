package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// errConflict is a value that a format can't write.
var errConflict = errors.New("two values for one key")

// render is what a reader of a format finds in an answer, without _status and
// _age: the value itself of json, texts by name of flat and form, a text of text.
func render(format string, v any) (any, error) {
	switch format {
	case "", "json":
		return v, nil
	case "text":
		o, _ := v.(map[string]any)
		if len(o) != 1 {
			return nil, errConflict
		}
		for _, value := range o {
			switch value.(type) {
			case map[string]any, []any:
				return nil, errConflict
			}
			return oneLine(asText(value, "")), nil
		}
	}
	flat := map[string]any{}
	if err := flatten(flat, "", v); err != nil {
		return nil, err
	}
	return flat, nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// flatten writes a value in one level of texts.
func flatten(into map[string]any, name string, v any) error {
	below := func(key string) string {
		if name == "" {
			return key
		}
		return name + "_" + key
	}
	put := func(key, s string) error {
		if _, taken := into[key]; taken {
			return errConflict
		}
		into[key] = s
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 && name != "" {
			return put(name, "")
		}
		for key, value := range v {
			if err := flatten(into, below(key), value); err != nil {
				return err
			}
		}
		return nil
	case []any:
		for i, value := range v {
			if err := flatten(into, below(strconv.Itoa(i+1)), value); err != nil {
				return err
			}
		}
		return put(below("count"), strconv.Itoa(len(v)))
	default:
		return put(name, asText(v, ""))
	}
}

// filtered replaces in all texts and keys what a phone system would evaluate.
func filtered(filters []string, v any) any {
	switch v := v.(type) {
	case string:
		return filterText(filters, v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = filtered(filters, v[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			out[filterText(filters, key)] = filtered(filters, value)
		}
		return out
	default:
		return v
	}
}

func filterText(filters []string, s string) string {
	for _, f := range filters {
		s = strings.Map(func(c rune) rune {
			switch {
			case f == "control" && (unicode.IsControl(c) || c == '\u2028' || c == '\u2029'):
				return ' '
			case f == "expression" && c == '"':
				return '\''
			case f == "expression" && c == '\\':
				return '/'
			case f == "dollar" && c == '$':
				return '＄'
			}
			return c
		}, s)
	}
	return s
}

// length is about how many bytes an answer takes.
func length(format string, rendered any) int {
	switch v := rendered.(type) {
	case string:
		return len(v)
	case map[string]any:
		if format == "form" {
			n := 0
			for key, value := range v {
				n += len(url.PathEscape(key)) + len(url.PathEscape(asText(value, ""))) + 2
			}
			return n
		}
	}
	b, _ := json.Marshal(rendered)
	return len(b) + len(`"_status":"not_found",`)
}

// unrender reads an answer in its format. The status field and the age come
// apart; those of the format text aren't there.
func unrender(format, body string) (v any, status, age string, err error) {
	if strings.ContainsAny(body, "\r\n") {
		return nil, "", "", errors.New("more than one line")
	}
	switch format {
	case "text":
		return oneLine(body), "", "", nil
	case "form":
		pairs, err := url.ParseQuery(body)
		if err != nil {
			return nil, "", "", err
		}
		if strings.Contains(body, "+") {
			return nil, "", "", errors.New("a blank is written as +")
		}
		all := map[string]any{}
		for key, values := range pairs {
			if len(values) != 1 {
				return nil, "", "", fmt.Errorf("%d values for %s", len(values), key)
			}
			all[key] = values[0]
		}
		v = all
	default:
		d := json.NewDecoder(strings.NewReader(body))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			return nil, "", "", err
		}
		if d.More() {
			return nil, "", "", errors.New("more than one document")
		}
	}
	o, ok := v.(map[string]any)
	if !ok {
		return v, "", "", nil
	}
	status, age = asText(o["_status"], ""), asText(o["_age"], "")
	delete(o, "_status")
	delete(o, "_age")
	return v, status, age, nil
}
