package jq

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // a container need not have time zones
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/phone"
)

// The functions that jq does not have and every program can call.

// onText makes a function of a string.
func onText(name string, f func(string) any) native {
	return onTexts(fault(name+" needs a string"), 0, 0, func(r *run, s string, _ []string) any { return post(r, f(s), nil) })
}

func hexText(s string) any { return hex.EncodeToString([]byte(s)) }

// base64url is RFC 4648, section 5, without padding.
func base64url(s string) any { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// unhex is a string's text from its hex digits: an error unless it is UTF-8.
func unhex(s string) any {
	b, err := hex.DecodeString(s)
	if err != nil || !utf8.Valid(b) {
		return fault("unhex needs the hex digits of a text in UTF-8")
	}
	return string(b)
}

// urlencode is application/x-www-form-urlencoded (WHATWG URL, 5.2): a blank
// becomes +, and all but letters, digits and *-._ is percent-encoded.
func urlencode(r *run, v any, _ []any) any {
	s := r.text(v)
	r.step(len(s) >> 8)
	return post(r, formStyle.Replace(url.QueryEscape(s)), nil)
}

// formStyle is what forms have otherwise than net/url.
var formStyle = strings.NewReplacer("%2A", "*", "~", "%7E")

// uuid is a random one: version 4 of RFC 9562.
func uuid(*run, any, []any) any {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// mask keeps the first three and the last two characters of a longer text, for
// logs: "138***00". Of eight characters and less it shows none.
func mask(r *run, v any, _ []any) any {
	s := []rune(r.text(v))
	if len(s) <= 8 {
		return "***"
	}
	return string(s[:3]) + "***" + string(s[len(s)-2:])
}

// e164 is a telephone number in E.164, or null for what is none. Numbers
// without a country code are those of the region, as in "CN".
func e164(r *run, v any, args []any) any {
	region, ok := args[0].(string)
	if !ok {
		return fault("e164 needs a region, a string")
	}
	switch v.(type) {
	case string, int, float64, *big.Int, json.Number:
	default:
		return nil
	}
	r.step(1000) // some ten microseconds
	if n, ok := phone.E164(r.text(v), region); ok {
		return n
	}
	return nil
}

// date is a time in a Go layout and an IANA zone. It is given in seconds since
// 1970, or in milliseconds from 100,000,000,000 on, as a number or in digits, or
// as a text of RFC 3339, with or without fractions of a second.
func date(r *run, v any, args []any) any {
	layout, ok := args[0].(string)
	name, ok2 := args[1].(string)
	if !ok || !ok2 {
		return fault("date needs a layout and a time zone, both strings")
	}
	if len(layout) > maxLayout {
		return fault("date's layout is too long")
	}
	when, ok := moment(v)
	if !ok {
		return fault("date needs seconds or milliseconds since 1970, or a text such as 2026-01-02T03:04:05Z")
	}
	in, err := location(name)
	if err != nil {
		return errZone
	}
	return post(r, when.In(in).Format(layout), nil)
}

// moment reads a time as date takes it.
func moment(v any) (time.Time, bool) {
	if s, ok := v.(string); ok && len(s) <= jsonval.MaxNumber {
		if when, err := time.Parse(time.RFC3339, strings.ToUpper(s)); err == nil {
			return when, true
		}
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			v = json.Number(s)
		}
	}
	t, ok := gojq.ToFloat64(v)
	if !ok || math.IsNaN(t) || math.Abs(t) > 1e15 {
		return time.Time{}, false
	}
	ms, ok := whole(v)
	switch {
	case math.Abs(t) < 1e11:
		ms = int64(math.Round(t * 1000))
	case !ok:
		ms = int64(math.Round(t))
	}
	return time.UnixMilli(ms), true
}

// blank is true of null, "", [] and {}: what APIs answer for nothing.
func blank(_ *run, v any, _ []any) any { return isBlank(v) }

// timeLayout checks a literal layout of date. One that holds no part of a time would
// give itself, whatever the time: "YYYY-MM-DD".
func timeLayout(layout string) fault {
	// differs from the reference time in every part
	if time.Date(2021, 11, 30, 6, 49, 58, 123456789, time.UTC).Format(layout) == layout {
		return `date's layout holds no part of a time; write Go's reference time as you want it, such as "2006-01-02 15:04:05"`
	}
	return ""
}

const errZone = fault("date does not know this time zone")

var zones sync.Map // name → *time.Location: as many as there are

func zone(name string) fault {
	if _, err := location(name); err != nil {
		return errZone
	}
	return ""
}

func location(name string) (*time.Location, error) {
	if z, ok := zones.Load(name); ok {
		return z.(*time.Location), nil
	}
	if name == "" || name == "Local" {
		return nil, errZone
	}
	z, err := time.LoadLocation(name)
	if err == nil {
		zones.Store(name, z)
	}
	return z, err
}

// flat makes one level of nested ones, all strings: a.b becomes a_b, an array
// list_1 … list_n and list_count; booleans are true and false, numbers as they
// are written, null is "". Two values for one key are an error.
func flat(r *run, v any, _ []any) any {
	switch v.(type) {
	case map[string]any, []any:
	default:
		return fault("flat needs an object or an array")
	}
	out := map[string]any{}
	if r.flatten(out, "", v, 0) {
		return out
	}
	return fault("flat has two values for one key")
}

// flatten puts v into out under its key; false for a key that is taken.
func (r *run) flatten(out map[string]any, key string, v any, depth int) bool {
	r.step(1)
	within(depth, maxDepth)
	under := key
	if key != "" {
		under += "_"
	}
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if !r.flatten(out, under+k, x, depth+1) {
				return false
			}
		}
		return true
	case []any:
		for i, x := range v {
			if !r.flatten(out, under+strconv.Itoa(i+1), x, depth+1) {
				return false
			}
		}
		return r.flatten(out, under+"count", len(v), depth)
	}
	text := ""
	if v != nil {
		text = r.text(v)
	}
	if _, taken := out[key]; taken {
		return false
	}
	within(len(out)+1, maxItems)
	within(len(key), maxKey)
	r.spend(64 + len(key) + len(text))
	out[key] = text
	return true
}

// whole gives a number that is a whole one, as an int64.
func whole(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i, true
		}
	}
	f, ok := gojq.ToFloat64(v)
	if !ok || f != math.Trunc(f) || math.Abs(f) >= 1<<63 {
		return 0, false
	}
	return int64(f), true
}
