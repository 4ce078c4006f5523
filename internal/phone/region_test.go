package phone_test

import (
	"testing"

	"github.com/switchboard-ivr/switchboard/internal/phone"
)

func TestParseRegion(t *testing.T) {
	for name, test := range map[string]struct {
		country, area string
		ok            bool
	}{
		"a country":        {"CN", "", true},
		"in lower case":    {"us", "", true},
		"with area code":   {"CN", "010", true},
		"no country":       {"XX", "", false},
		"nothing":          {"", "", false},
		"a calling code":   {"+86", "", false},
		"no area code":     {"CN", "Beijing", false},
		"a long area code": {"CN", "012345678", false},
	} {
		if _, err := phone.ParseRegion(test.country, test.area); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An area code completes local numbers and nothing else.
func TestRegionE164(t *testing.T) {
	beijing, err := phone.ParseRegion("cn", "010")
	if err != nil {
		t.Fatal(err)
	}
	for number, want := range map[string]string{
		"62785001":          "+861062785001",
		"6278-5001":         "+861062785001",
		"sip:62785001@host": "+861062785001",
		"010-62785001":      "+861062785001",
		"13800138000":       "+8613800138000",
		"+1 212 555 2368":   "+12125552368",
		"8001":              "",
		"110":               "",
		"anonymous":         "",
		"+62785001":         "",
		"0":                 "",
		"":                  "",
	} {
		if got, ok := beijing.E164(number); got != want || ok != (want != "") {
			t.Errorf("%q: got %q %v, want %q", number, got, ok, want)
		}
	}
	if got, ok := (phone.Region{Country: "CN"}).E164("62785001"); ok {
		t.Errorf("without an area code: %q", got)
	}
}
