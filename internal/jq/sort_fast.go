//go:build !noswitchboardfast

package jq

import (
	"encoding/json"
	"strings"
)

// Fast path of sorting: numbers among the keys are read once, instead of at each
// comparison. TestDifferential holds it to gojq, and TestSortKeys to the keys as they
// were.

// sortKey is a key as it is compared.
func sortKey(v any) any {
	n, ok := v.(json.Number)
	if !ok {
		return v
	}
	if i, err := n.Int64(); err == nil {
		return int(i)
	}
	if !strings.ContainsAny(string(n), ".eE") {
		return v
	}
	f, _ := n.Float64()
	return f
}
