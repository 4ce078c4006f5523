// Package jsonval is the JSON values that programs work with: how documents are
// decoded and encoded, and how much of them there may be.
//
// A value is nil, a bool, a string, a number (json.Number as it came, int, float64 or
// *big.Int where something has computed it), []any or map[string]any. Values are
// shared and never changed.
//
// Documents come from anybody. So each is bounded in bytes, depth and number of
// values before memory is taken for it, and the large ones of all calls share a
// bounded memory, a [Room] for each call. No error holds a part of a document.
package jsonval

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Why a document could not be decoded or encoded.
var (
	// ErrDeadline: the context ended while it was decoded.
	ErrDeadline = errors.New("took too long")
	// ErrTooLarge: it is over a limit.
	ErrTooLarge = errors.New("too large")
	// ErrTooMuch: it takes more memory than any may. It is an ErrTooLarge.
	ErrTooMuch = fmt.Errorf("%w: it takes too much memory once it is decoded", ErrTooLarge)
	// ErrNoRoom: the context ended before there was memory for it.
	ErrNoRoom = errors.New("no memory was free in time")
	// ErrSyntax: it is not JSON, or more than one document.
	ErrSyntax = errors.New("not one JSON document")
	// ErrEmpty: it is blank.
	ErrEmpty = errors.New("empty document")
	// ErrNotJSON: JSON can't write the value.
	ErrNotJSON = errors.New("not JSON")
)

// Limits bound a JSON document. Zero fields take the defaults.
type Limits struct {
	// Room is what the memory of a decoded document is reserved in, for a Purpose,
	// before it is taken; its context ends decoding. Default: neither.
	Room    *Room
	Purpose Purpose

	Bytes int // of the document; default 1 MiB
	Depth int // of nested arrays and objects; default 1000, at most 10 000
	Nodes int // values in the document; default 1,000,000
}

// A Meter counts steps of work. It may panic to end it.
type Meter interface{ Step(n int) }

// Limits where none are given. MaxNumber always holds: a longer literal of a number
// takes quadratic time as soon as something is computed with it.
const (
	MaxBytes  = 1 << 20
	MaxDepth  = 1000      // of nested arrays and objects
	MaxNodes  = 1_000_000 // values in a document, shared ones counted each time
	MaxNumber = 64        // characters of a number
)

func (l Limits) orDefaults() Limits {
	l.Bytes = cmp.Or(l.Bytes, MaxBytes)
	l.Depth = min(cmp.Or(l.Depth, MaxDepth), 10_000) // both directions recurse
	l.Nodes = cmp.Or(l.Nodes, MaxNodes)
	return l
}

// smallDocument is the size of documents in bytes that need no room, by purpose. An
// answer is decoded and used in one go, so that there are few at a time; what a
// caller sent is held until the call ends. Such a document takes 70 times its size
// at most.
func (l Limits) smallDocument() int {
	if l.Purpose == ForAnswer {
		return 4 << 10
	}
	return uncounted / 70
}

// reserve reserves the memory of a document, and of a copy of it where it is
// copied.
func (l Limits) reserve(s string, copies bool) error {
	if l.Room == nil || len(s) <= l.smallDocument() {
		return nil
	}
	size := decodedSize(s)
	if copies {
		size += int64(len(s))
	}
	return l.Room.Reserve(l.Purpose, size)
}

// Any reports whether f is true of any value in v, v itself included. It gives members
// of objects with their key, and others with "".
func Any(v any, f func(key string, v any) bool) bool { return anyIn("", v, f) }

func anyIn(key string, v any, f func(key string, v any) bool) bool {
	if f(key, v) {
		return true
	}
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return anyIn("", item, f) })
	case map[string]any:
		for key, member := range v {
			if anyIn(key, member, f) {
				return true
			}
		}
	}
	return false
}
