package phone

import (
	"errors"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Region is where numbers belong that come without a country code. The zero
// Region knows only international numbers.
type Region struct {
	// Country is an ISO 3166 code, as in "CN".
	Country string
	// AreaCode is put before numbers that have none, as in "010". It may be "".
	AreaCode string
}

// ParseRegion reads a country and, if given, an area code.
func ParseRegion(country, areaCode string) (Region, error) {
	country = strings.ToUpper(country)
	if !phonenumbers.GetSupportedRegions()[country] {
		return Region{}, errors.New("the region is no country with telephone numbers; write its ISO 3166 code, for example CN")
	}
	if len(areaCode) > 8 || strings.Trim(areaCode, "0123456789") != "" {
		return Region{}, errors.New("the area code is not a number; write it as it is dialled, for example 010")
	}
	return Region{country, areaCode}, nil
}

// E164 is the number in E.164; see [E164]. A local number, which is valid only
// behind the area code, is completed with it.
func (r Region) E164(s string) (number string, ok bool) {
	if number, ok = E164(s, r.Country); ok || r.AreaCode == "" {
		return number, ok
	}
	if len(s) > maxLength {
		return "", false
	}
	local := subscriber(s)
	if local == "" || strings.HasPrefix(local, "+") || strings.HasPrefix(local, "0") {
		return "", false
	}
	return E164(r.AreaCode+local, r.Country)
}
