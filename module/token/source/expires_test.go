package source

import (
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
)

func TestParseExpires(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const (
		out    = -1          // refused
		ended  = -2          // counts as not stated, with a warning
		capped = maxLifetime // with a warning
	)
	huge := new(big.Int).Lsh(big.NewInt(1), 100)
	for name, test := range map[string]struct {
		value any
		unit  string
		want  time.Duration // from now; 0: none stated
	}{
		"null":                      {nil, "", 0},
		"blank":                     {"  ", "s", 0},
		"a number":                  {json.Number("7200"), "", 2 * time.Hour},
		"an int":                    {7200, "s", 2 * time.Hour},
		"a float":                   {7200.5, "s", 7200*time.Second + 500*time.Millisecond},
		"a float's spelling":        {json.Number("7200.0"), "s", 2 * time.Hour},
		"an exponent":               {json.Number("7.2e3"), "s", 2 * time.Hour},
		"a string":                  {"7200", "s", 2 * time.Hour},
		"a string with blanks":      {" 600\n", "s", 10 * time.Minute},
		"a string's exponent":       {"7.2e3", "s", 2 * time.Hour},
		"milliseconds":              {7200000, "ms", 2 * time.Hour},
		"a string of milliseconds":  {"7200000", "ms", 2 * time.Hour},
		"the shortest":              {30, "s", 30 * time.Second},
		"the longest":               {400 * 86400, "s", 400 * 24 * time.Hour},
		"a second less":             {29, "s", 29 * time.Second},
		"a second more":             {400*86400 + 1, "s", capped},
		"zero":                      {0, "s", ended},
		"zero, a string":            {"0", "s", ended},
		"zero milliseconds":         {0, "ms", ended},
		"ten years":                 {315360000, "s", capped},
		"negative":                  {-1, "s", ended},
		"seconds for milliseconds":  {7200, "ms", 7200 * time.Millisecond},
		"a date for a duration":     {1772373600, "s", capped},
		"a millisecond date":        {1772373600000, "ms", capped},
		"1e11 overflows a Duration": {1e11, "s", capped},
		"bigger than any float":     {json.Number("1E400"), "s", out},
		"a big integer":             {huge, "s", capped},
		"infinite":                  {math.Inf(1), "s", out},
		"not a number":              {math.NaN(), "s", out},
		"a word":                    {"soon", "s", out},
		"infinity spelled":          {"inf", "s", out},
		"hexadecimal":               {"0x1p10", "s", out},
		"an underscore":             {"7_200", "s", out},
		"many digits":               {json.Number("0000000000000000000000000000000000000000000000000000000000000007200"), "s", out},
		"true":                      {true, "s", out},
		"an object":                 {map[string]any{}, "s", out},
		"an array":                  {[]any{7200}, "s", out},

		"at, in seconds":         {int(now.Unix()) + 3600, "at", time.Hour},
		"at, in milliseconds":    {int(now.UnixMilli()) + 3600000, "at", time.Hour},
		"at, a string":           {"1772370000", "at", time.Hour},
		"at, RFC 3339":           {"2026-03-01T13:00:00Z", "at", time.Hour},
		"at, RFC 3339, a zone":   {"2026-03-01T21:00:00+08:00", "at", time.Hour},
		"at, null":               {nil, "at", 0},
		"at, past":               {int(now.Unix()) - 1, "at", ended},
		"at, now":                {int(now.Unix()), "at", ended},
		"at, in two years":       {int(now.AddDate(2, 0, 0).Unix()), "at", capped},
		"at, microseconds":       {int(now.UnixMicro()) + 3600e6, "at", capped},
		"at, nearly infinite":    {1e300, "at", capped},
		"at, far below zero":     {-1e300, "at", ended},
		"at, a date alone":       {"2026-03-02", "at", out},
		"at, a duration instead": {7200, "at", ended},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseExpires(test.value, test.unit, now)
			if err != nil {
				if test.want != out {
					t.Fatal(err)
				}
				return
			}
			left := got.Lifetime
			switch {
			case got.Ended:
				left = ended
			case !got.Expires.IsZero():
				left = got.Expires.Sub(now)
			}
			if left != test.want {
				t.Errorf("got %s, want %s", left, test.want)
			}
			odd := test.want == ended || test.want == capped && name != "the longest"
			if odd != (len(got.Warnings) == 1) {
				t.Errorf("warnings %q", got.Warnings)
			}
			if got.Lifetime != 0 && !got.Expires.IsZero() || got.Ended && (got.Lifetime != 0 || !got.Expires.IsZero()) {
				t.Errorf("more than one thing is stated: %+v", got)
			}
		})
	}
}

func FuzzParseExpires(f *testing.F) {
	for _, value := range []string{`7200`, `"7200"`, `7.2e3`, `null`, `""`, `-1`, `1e400`, `"2026-03-01T13:00:00Z"`, `1772370000000`, `[1]`, `"0x10"`} {
		for _, unit := range []string{"s", "ms", "at"} {
			f.Add(value, unit)
		}
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text, unit string) {
		var value any = text
		var number json.Number
		if json.Unmarshal([]byte(text), &number) == nil {
			value = number
		}
		got, err := parseExpires(value, unit, now)
		if err != nil {
			if !reflect.DeepEqual(got, token.Grant{}) {
				t.Error("an error with a value")
			}
			return
		}
		left := got.Lifetime
		if !got.Expires.IsZero() {
			left = got.Expires.Sub(now)
		}
		if left < 0 || left > maxLifetime || got.Ended && left != 0 {
			t.Errorf("%+v is out of bounds", got)
		}
	})
}
