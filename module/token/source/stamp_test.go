package source

import (
	"regexp"
	"testing"
	"time"
)

func TestStamp(t *testing.T) {
	now := time.Date(2026, 3, 1, 20, 30, 5, 678e6, time.UTC)
	for _, test := range []struct {
		layout, zone string
		want         any
	}{
		{"", "", 1772397005678},
		{"ms", "", 1772397005678},
		{"s", "", 1772397005},
		{"2006-01-02 15:04:05", "", "2026-03-01 20:30:05"},
		{"2006-01-02 15:04:05", "Asia/Shanghai", "2026-03-02 04:30:05"},
		{"2006-01-02 15:04:05", "+08:00", "2026-03-02 04:30:05"},
		{"20060102150405", "-05:30", "20260301150005"},
		{time.RFC3339, "+08:00", "2026-03-02T04:30:05+08:00"},
		{"20060102T150405Z", "UTC", "20260301T203005Z"},
	} {
		s, err := newStamp(test.layout, test.zone)
		if err != nil {
			t.Errorf("%q %q: %v", test.layout, test.zone, err)
			continue
		}
		// where the machine stands makes no difference
		for _, here := range []*time.Location{time.UTC, time.FixedZone("", 3600)} {
			if got := s.at(now.In(here)); got != test.want {
				t.Errorf("%q %q: got %v, want %v", test.layout, test.zone, got, test.want)
			}
		}
	}
}

func TestStampRefuses(t *testing.T) {
	for _, test := range [][2]string{
		{"yyyy-MM-dd", ""},
		{"%Y-%m-%d", ""},
		{"seconds", ""},
		{"YYYY2006", ""},
		{".000", ""},
		{"2006-01-02", "Mars"},
		{"2006-01-02", "+8"},
		{"2006-01-02", "+25:00"},
		{"2006-01-02", "Local"},
		{"2006-01-02", "../etc"},
		{"ms", "UTC"},
		{"s", "UTC"},
	} {
		if _, err := newStamp(test[0], test[1]); err == nil {
			t.Errorf("%q is taken", test)
		}
	}
}

func TestNonce(t *testing.T) {
	a, b := Nonce(), Nonce()
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(a) {
		t.Errorf("%q is not 32 hex digits", a)
	}
	if a == b {
		t.Error("two are equal")
	}
}
