//go:build !noswitchboardfast

package jq

import (
	"encoding/json"
	"testing"

	"github.com/itchyny/gojq"
)

func TestSortKeys(t *testing.T) {
	t.Parallel()
	keys := []any{
		nil, true, "1", json.Number("1"), json.Number("1.0"), json.Number("-0"), json.Number("1e2"), json.Number("100"),
		json.Number("9007199254740993"), json.Number("9007199254740992"), json.Number("12345678901234567890"), json.Number("1E400"),
		[]any{},
	}
	for _, a := range keys {
		for _, b := range keys {
			if got, want := gojq.Compare(sortKey(a), sortKey(b)), gojq.Compare(a, b); got != want {
				t.Errorf("%v and %v: %d, want %d", a, b, got, want)
			}
		}
	}
}
