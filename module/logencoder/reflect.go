package logencoder

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/switchboard-ivr/switchboard/internal/mask"
)

var errNotJSON = errors.New("value can't be written as JSON")

// reflected returns what the encoder would write of a value, masked. It goes
// by way of JSON, which is slow, but nothing on the path of a call logs like
// that.
func reflected(key string, value any) (any, error) {
	switch v := value.(type) {
	case nil, bool, int, int64, uint64, float64:
		return v, nil
	case string:
		return field(key, v), nil
	}
	b, err := json.Marshal(value)
	if err != nil {
		return nil, errNotJSON // its text may hold data
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var doc any
	if err := d.Decode(&doc); err != nil {
		return nil, errNotJSON
	}
	return document(key, doc), nil
}

// document masks strings, and numbers whose name says that they identify
// somebody.
func document(key string, doc any) any {
	switch v := doc.(type) {
	case string:
		return field(key, v)
	case json.Number:
		if mask.Secret(key) || mask.Personal(key) {
			return mask.Value(key, v.String())
		}
	case []any:
		for i := range v {
			v[i] = document(key, v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = document(k, v[k])
		}
	}
	return doc
}
