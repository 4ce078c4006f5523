//go:build noswitchboardfast

package jsonval

// DecodePart decodes all of a document; see part_fast.go.
func DecodePart(data []byte, l Limits, _ *Part) (any, error) { return Decode(data, l) }
