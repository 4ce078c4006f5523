package jq

import "cmp"

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

// maxNumber is the longest literal of a number. Longer ones take quadratic time
// as soon as they are computed with (reliability 1.1).
const maxNumber = 64

func (l Limits) orDefaults() Limits {
	l.Bytes = cmp.Or(l.Bytes, 1<<20)
	l.Depth = min(cmp.Or(l.Depth, maxDepth), 10_000) // both directions recurse
	l.Nodes = cmp.Or(l.Nodes, maxNodes)
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
