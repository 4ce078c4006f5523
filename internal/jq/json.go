package jq

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"

	"github.com/itchyny/gojq"
)

// Limits bound a JSON document. Zero fields take the defaults.
type Limits struct {
	Bytes int // default 1 MiB
	Depth int // default 1000
	Nodes int // default 1,000,000
}

// Decode decodes exactly one JSON document; numbers keep their spelling.
func Decode(data []byte, l Limits) (any, error) {
	if len(data) > cmp.Or(l.Bytes, 1<<20) {
		return nil, ErrTooLarge
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, ErrEmpty
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, ErrSyntax
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, ErrSyntax
	}
	return v, nil
}

// Encode appends v to dst as compact JSON.
func Encode(dst []byte, v any, l Limits) ([]byte, error) {
	b, err := gojq.Marshal(v)
	if err != nil {
		return dst, ErrFailed
	}
	if len(b) > cmp.Or(l.Bytes, 1<<20) {
		return dst, ErrTooLarge
	}
	return append(dst, b...), nil
}
