package source

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// maxLifetime is the longest lifetime that is taken for one; see also
// token.MinLifetime.
const maxLifetime = 400 * 24 * time.Hour

// The units of expires_in.
const (
	unitSeconds      = "s"
	unitMilliseconds = "ms"
	unitAt           = "at" // a point in time, not a duration
)

// epochMilliseconds tells Unix time in milliseconds from Unix time in seconds:
// in seconds it is the year 5138, in milliseconds March 1973.
const epochMilliseconds = 1e11

// errNotATime is for an expires_in that can't be read at all.
var errNotATime = errors.New("expires_in is neither a number nor a time")

// stated is what an answer says of a token's life: a lifetime, a point in time by
// the endpoint's clock, or neither.
type stated struct {
	lifetime time.Duration
	at       time.Time
	// ended: the stated life is over. It counts as not stated.
	ended bool
	// warning tells how a value was taken that can't be meant; "" for a good one.
	warning string
}

// parseExpires reads the value of an expires_in program: a number or a string
// that holds one, in s or ms, or with `at` Unix time in s or ms or an RFC 3339
// string. Null and blank state nothing. A life of 0 or less counts as not stated,
// one of more than 400 days as 400 days: what can't be meant must not cost the
// token. now is the time at the token endpoint.
func parseExpires(value any, unit string, now time.Time) (stated, error) {
	if text, ok := value.(string); ok {
		text = strings.TrimSpace(text)
		if text == "" {
			return stated{}, nil
		}
		if unit == unitAt {
			if at, err := time.Parse(time.RFC3339, text); err == nil {
				return pointInTime(at, now), nil
			}
		}
		value = json.Number(text)
	}
	if value == nil {
		return stated{}, nil
	}
	n, ok := float(value)
	if !ok {
		return stated{}, errNotATime
	}
	switch unit {
	case unitAt:
		if n < epochMilliseconds {
			n *= 1000
		}
		// beyond what a time can hold, the year doesn't matter
		n = max(min(n, math.MaxInt64/2), math.MinInt64/2)
		return pointInTime(time.UnixMilli(int64(n)), now), nil
	case unitMilliseconds:
		n /= 1000
	}
	switch {
	case n <= 0:
		return stated{ended: true, warning: "expires_in is 0 or less and counts as not stated"}, nil
	case n > 1e9: // Unix time since 2001, in either unit
		return stated{lifetime: maxLifetime, warning: "expires_in counts as 400 days; it looks like a point in time, whose unit is `at`"}, nil
	case n > maxLifetime.Seconds():
		return stated{lifetime: maxLifetime, warning: "expires_in counts as 400 days"}, nil
	default:
		return stated{lifetime: max(time.Duration(n*float64(time.Second)), time.Millisecond)}, nil
	}
}

func pointInTime(at, now time.Time) stated {
	switch left := at.Sub(now); {
	case left <= 0:
		return stated{ended: true, warning: "expires_in lies in the past and counts as not stated; a number of seconds is written without `at`"}
	case left > maxLifetime:
		return stated{at: now.Add(maxLifetime), warning: "expires_in counts as 400 days from now"}
	default:
		return stated{at: at}
	}
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
