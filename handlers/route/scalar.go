package route

import (
	"encoding/json"
	"strconv"

	"github.com/switchboard-ivr/switchboard/internal/jq"
)

// Scalar writes a text, number or boolean as it goes into a URL, a form or a
// header: numbers as written.
func Scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case int:
		return strconv.Itoa(v), true
	case bool:
		return strconv.FormatBool(v), true
	case nil, map[string]any, []any:
		return "", false
	default: // float64, *big.Int
		text, err := jq.Encode(nil, v, jq.Limits{})
		return string(text), err == nil
	}
}
