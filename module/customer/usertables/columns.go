package usertables

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// The values of columns are converted to the types that jq knows: nil, bool, int,
// float64, json.Number, string, []any and map[string]any. Any other type would stop
// a program.

// Bounds of one column.
const (
	maxColumn = 1 << 20 // bytes
	maxDigits = 64      // of a number; a longer one is text, as it is slow to compute with
)

var (
	errColumnTooLarge = errors.New("holds more than 1 MiB; select only what record needs")
	errColumnType     = errors.New("has a type that can't be read; cast it to text")
)

// number returns a number with all its digits.
func number(digits string) any {
	switch {
	case len(digits) > maxDigits:
		return digits
	case digits == "" || strings.Trim(digits, "+-.0123456789eE") != "": // NaN, Infinity
		return nil
	}
	return json.Number(digits)
}

// float returns a floating-point number, or nil for one that JSON can't write.
func float(f float64, bits int) any {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return nil
	case bits == 32: // as many digits as it has
		return json.Number(strconv.FormatFloat(f, 'g', -1, 32))
	}
	return f
}

// bytes are base64, as in JSON.
func bytes(b []byte) (any, error) {
	if len(b) > maxColumn {
		return nil, errColumnTooLarge
	}
	return base64.StdEncoding.EncodeToString(b), nil
}

func plain(s string) (any, error) {
	if len(s) > maxColumn {
		return nil, errColumnTooLarge
	}
	return strings.ToValidUTF8(s, "\uFFFD"), nil
}

// document decodes JSON; its numbers keep their digits. What is not valid JSON, or is
// too large for a program, stays text.
func document(data []byte) (any, error) {
	if v, err := jsonval.Decode(data, jsonval.Limits{Bytes: maxColumn}); err == nil {
		return v, nil
	}
	return plain(string(data))
}

// moment returns a time in RFC 3339, in UTC. A time without a zone is taken for UTC.
func moment(t time.Time) any { return t.UTC().Format(time.RFC3339Nano) }

// day returns a date without a time.
func day(t time.Time) any { return t.Format(time.DateOnly) }

// value converts what a driver has read to what jq knows. A date has no time.
func value(v any, isDate bool) (any, error) {
	switch v := v.(type) {
	case nil, bool, int, json.Number, map[string]any: // also in JSON, within a list
		return v, nil
	case int16:
		return int(v), nil
	case int32:
		return int(v), nil
	case int64:
		return int(v), nil
	case uint32:
		return int(v), nil
	case uint64:
		return number(strconv.FormatUint(v, 10)), nil
	case float32:
		return float(float64(v), 32), nil
	case float64:
		return float(v, 64), nil
	case string:
		return plain(v)
	case []byte:
		return bytes(v)
	case time.Time:
		if isDate {
			return day(v), nil
		}
		return moment(v), nil
	case pgtype.Numeric:
		digits, err := v.MarshalJSON() // with all digits
		return number(string(digits)), err
	case [16]byte:
		return pgtype.UUID{Bytes: v, Valid: true}.String(), nil
	case pgtype.InfinityModifier:
		return v.String(), nil
	case []any:
		list := make([]any, len(v))
		for i := range v {
			var err error
			if list[i], err = value(v[i], isDate); err != nil {
				return nil, err
			}
		}
		return list, nil
	default:
		return nil, errColumnType
	}
}
