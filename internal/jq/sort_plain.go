//go:build noswitchboardfast

package jq

// sortKey is a key as it is compared; see sort_fast.go.
func sortKey(v any) any { return v }
