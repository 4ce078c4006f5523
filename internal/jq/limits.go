package jq

import "cmp"

// Limits bound a JSON document. Zero fields take the defaults.
type Limits struct {
	Bytes int // of the document; default 1 MiB
	Depth int // of nested arrays and objects; default 1000, at most 10 000
	Nodes int // values in the document; default 1,000,000
}

// maxNumber is the longest literal of a number. Longer ones take quadratic time
// as soon as they are computed with (reliability 1.1).
const maxNumber = 64

func (l Limits) orDefaults() Limits {
	return Limits{
		Bytes: cmp.Or(l.Bytes, 1<<20),
		Depth: min(cmp.Or(l.Depth, maxDepth), 10_000), // both directions recurse
		Nodes: cmp.Or(l.Nodes, maxNodes),
	}
}
