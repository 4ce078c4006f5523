package phone

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

// A number of before a renumbering is the new one, however it is written, and a
// table that holds the old one is found with the new one.
func TestRenumberings(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for _, r := range renumberings {
		found := 0
		for range 10 {
			digits := []byte(r.old)
			for len(digits) < r.length {
				digits = append(digits, byte('0'+random.IntN(10)))
			}
			digits = append(slices.Clone(digits[len(r.old):len(r.old)+r.keep]), slices.Concat([]byte(r.old), digits[len(r.old)+r.keep:])...)
			old := "+" + r.code + string(digits)
			current, ok := E164(old, "")
			if !ok || isValid(old) {
				continue // no number that anybody had, or one that was left alone
			}
			found++
			if want, _ := r.forward(old); current != want || !isValid(current) {
				t.Errorf("%s is %s, want %s", old, current, want)
			}
			spellings, ok := Region{}.Spell(current)
			if !ok || !slices.Contains(spellings.Variants, old) {
				t.Errorf("%s: %q has no %s", current, spellings.Variants, old)
			}
		}
		if found == 0 {
			t.Errorf("%+v: not one number", r)
		}
	}
}

// Two subscribers never become one: a number that is valid today is itself, in
// every country, and no two old numbers have become the same one, save those that
// one renumbering dialled in several ways.
func TestSubscribersStayApart(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	owners := map[string]string{}
	for region := range phonenumbers.GetSupportedRegions() {
		for _, kind := range []phonenumbers.PhoneNumberType{phonenumbers.FIXED_LINE, phonenumbers.MOBILE, phonenumbers.TOLL_FREE, phonenumbers.VOIP} {
			example := phonenumbers.GetExampleNumberForType(region, kind)
			if example == nil {
				continue
			}
			digits := []byte(phonenumbers.GetNationalSignificantNumber(example))
			for range 6 {
				number := fmt.Sprintf("+%d%s", example.GetCountryCode(), digits)
				got, ok := E164(number, region)
				switch {
				case ok && isValid(number):
					if n, _ := phonenumbers.Parse(number, ""); got != phonenumbers.Format(n, phonenumbers.E164) {
						t.Errorf("%s is read as %s", number, got)
					}
				case ok:
					if other := owners[got]; other != "" && other != number && !strings.HasPrefix(got, "+52") {
						t.Errorf("%s and %s are both %s", number, other, got)
					}
					owners[got] = number
				}
				digits[random.IntN(len(digits))] = byte('0' + random.IntN(10))
			}
		}
	}
	for i, a := range renumberings {
		for _, b := range renumberings[:i] {
			if a.code != "52" && a.code == b.code && a.keep == b.keep && (strings.HasPrefix(a.new, b.new) || strings.HasPrefix(a.old, b.old)) {
				t.Errorf("%+v and %+v could make one number of two", a, b)
			}
		}
	}
}
