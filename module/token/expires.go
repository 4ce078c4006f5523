package token

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// The bounds of a token's lifetime (reliability T10). What is outside is a
// mistake of unit, and would mean a token call per request or none in years.
const (
	minLifetime = 30 * time.Second
	maxLifetime = 400 * 24 * time.Hour
)

// The units of expires_in.
const (
	unitSeconds      = "s"
	unitMilliseconds = "ms"
	unitAt           = "at" // a point in time, not a duration
)

// epochMilliseconds tells Unix time in milliseconds from Unix time in seconds:
// in seconds it is the year 5138, in milliseconds March 1973.
const epochMilliseconds = 1e11

var (
	errNotATime  = errors.New("expires_in is neither a number nor a time")
	errLifetime  = errors.New("expires_in is out of 30 s to 400 days")
	errLooksLike = errors.New("expires_in is out of 30 s to 400 days; it looks like a point in time, whose unit is `at`")
)

// parseExpires reads the value of an expires_in program: a number or a string
// that holds one, in s or ms, or with `at` Unix time in s or ms or an RFC 3339
// string. It gives a lifetime, or a point in time for `at`, and neither when the
// answer stated none (null or blank). now is the time at the token endpoint.
func parseExpires(value any, unit string, now time.Time) (time.Duration, time.Time, error) {
	if text, ok := value.(string); ok {
		text = strings.TrimSpace(text)
		if text == "" {
			return 0, time.Time{}, nil
		}
		if unit == unitAt {
			if at, err := time.Parse(time.RFC3339, text); err == nil {
				return pointInTime(at, now)
			}
		}
		value = json.Number(text)
	}
	if value == nil {
		return 0, time.Time{}, nil
	}
	n, ok := float(value)
	if !ok {
		return 0, time.Time{}, errNotATime
	}
	switch unit {
	case unitAt:
		if n < epochMilliseconds {
			n *= 1000
		}
		if math.Abs(n) > math.MaxInt64/2 {
			return 0, time.Time{}, errLifetime
		}
		return pointInTime(time.UnixMilli(int64(n)), now)
	case unitMilliseconds:
		n /= 1000
	}
	if n < minLifetime.Seconds() || n > maxLifetime.Seconds() {
		if n > 1e9 { // Unix time since 2001, in either unit
			return 0, time.Time{}, errLooksLike
		}
		return 0, time.Time{}, errLifetime
	}
	return time.Duration(n * float64(time.Second)), time.Time{}, nil
}

func pointInTime(at, now time.Time) (time.Duration, time.Time, error) {
	if left := at.Sub(now); left < minLifetime || left > maxLifetime {
		return 0, time.Time{}, errLifetime
	}
	return 0, at, nil
}

// float reads a number of any type that a program may yield. Text counts when it
// is spelled as a JSON number, leading zeros and a plus sign forgiven.
func float(value any) (float64, bool) {
	switch v := value.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case *big.Int:
		n, _ := new(big.Float).SetInt(v).Float64()
		return n, !math.IsInf(n, 0)
	case json.Number:
		// ParseFloat also reads hexadecimal, underscores, "inf" and "nan"
		if len(v) > 64 || strings.Trim(string(v), "0123456789+-.eE") != "" {
			return 0, false
		}
		n, err := strconv.ParseFloat(string(v), 64)
		return n, err == nil
	default:
		return 0, false
	}
}
