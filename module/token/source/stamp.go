package source

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// stamp makes the value of $timestamp.
type stamp struct {
	layout string // "ms", "s" or a Go layout
	zone   *time.Location
}

// newStamp reads the arguments of `timestamp`. Blank ones mean ms and UTC.
func newStamp(layout, zone string) (stamp, error) {
	s := stamp{layout: layout, zone: time.UTC}
	if zone != "" {
		loc, err := location(zone)
		if err != nil {
			return stamp{}, err
		}
		s.zone = loc
	}
	switch layout {
	case "":
		s.layout = "ms"
	case "ms", "s":
	default:
		if !isLayout(layout) {
			return stamp{}, fmt.Errorf("timestamp %q is neither ms, s nor a layout; a layout is Go's reference time as you want it, such as \"2006-01-02 15:04:05\"", layout)
		}
	}
	if zone != "" && (s.layout == "ms" || s.layout == "s") {
		return stamp{}, fmt.Errorf("timestamp %s takes no zone: Unix time is the same in all", s.layout)
	}
	return s, nil
}

// isLayout tells a Go layout from what other languages call one, which Go would
// send as it stands: "yyyy-MM-dd" or "%Y-%m-%d".
func isLayout(layout string) bool {
	for _, foreign := range []string{"yy", "YY", "MM", "dd", "DD", "HH", "mm", "%"} {
		if strings.Contains(layout, foreign) {
			return false
		}
	}
	// differs from the reference time in every element
	return time.Date(2021, 11, 30, 18, 49, 58, 0, time.UTC).Format(layout) != layout
}

// location finds a zone: "Asia/Shanghai", "UTC", or an offset such as "+08:00".
func location(zone string) (*time.Location, error) {
	if strings.HasPrefix(zone, "+") || strings.HasPrefix(zone, "-") {
		at, err := time.Parse("-07:00", zone)
		if err != nil {
			return nil, fmt.Errorf("zone %q is not an offset; write it like +08:00", zone)
		}
		_, offset := at.Zone()
		return time.FixedZone(zone, offset), nil
	}
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return nil, fmt.Errorf("zone %q is unknown; write a name such as Asia/Shanghai or an offset such as +08:00", zone)
	}
	return loc, nil
}

// at gives $timestamp: a number for ms and s, a string for a layout.
func (s stamp) at(now time.Time) any {
	switch s.layout {
	case "ms":
		return int(now.UnixMilli())
	case "s":
		return int(now.Unix())
	default:
		return now.In(s.zone).Format(s.layout)
	}
}

// Nonce makes a value of $nonce: 32 random hex digits.
func Nonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}
