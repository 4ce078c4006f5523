package answer

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// isNull tells whether v is null. Programs can compute a NaN, which JSON
// writes as null.
func isNull(v any) bool {
	f, ok := v.(float64)
	return v == nil || ok && math.IsNaN(f)
}

// scalar returns what is no array and no object as a string: numbers as they
// are written, null as "". Invalid UTF-8 becomes U+FFFD.
func scalar(v any) (s string, ok bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return strings.ToValidUTF8(v, "\uFFFD"), true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	case int:
		return strconv.Itoa(v), true
	case *big.Int:
		return v.String(), true
	case float64:
		if isNull(v) {
			return "", true
		}
		b, err := jsonval.Encode(nil, v, jsonval.Limits{}) // as JSON answers have it
		return string(b), err == nil
	}
	return "", false
}
