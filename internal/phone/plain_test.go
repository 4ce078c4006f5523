package phone

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

// What is sure of a plain number is what phonenumbers says, in every country.
func TestPlainNumbers(t *testing.T) {
	t.Parallel()
	kinds := []phonenumbers.PhoneNumberType{phonenumbers.FIXED_LINE, phonenumbers.MOBILE, phonenumbers.TOLL_FREE, phonenumbers.PREMIUM_RATE, phonenumbers.VOIP, phonenumbers.UAN}
	random := rand.New(rand.NewPCG(1, 2))
	sure := 0
	for region := range phonenumbers.GetSupportedRegions() {
		for _, kind := range kinds {
			example := phonenumbers.GetExampleNumberForType(region, kind)
			if example == nil {
				continue
			}
			national := phonenumbers.GetNationalSignificantNumber(example)
			for range 5 {
				for _, s := range []string{national, fmt.Sprintf("%d%s", example.GetCountryCode(), national), fmt.Sprintf("+%d%s", example.GetCountryCode(), national), "0" + national, "00" + national} {
					if agree(t, s, region) {
						sure++
					}
				}
				changed := []byte(national)
				changed[random.IntN(len(changed))] = byte('0' + random.IntN(10))
				national = string(changed)
			}
		}
	}
	if sure < 5000 {
		t.Errorf("only %d numbers were plain", sure)
	}
}

// The numbers that most directories hold are plain ones.
func TestUsualNumbersArePlain(t *testing.T) {
	t.Parallel()
	for s, region := range map[string]string{"13800138000": "CN", "+8613800138000": "", "+16502530000": "CN", "6502530000": "US", "+447400123456": "CN"} {
		if number, ok, sure := plainE164(s, region); !sure || !ok {
			t.Errorf("%s in %s: %q %v %v", s, region, number, ok, sure)
		}
	}
}

func agree(t *testing.T, s, region string) (sure bool) {
	t.Helper()
	number, ok, sure := plainE164(s, region)
	if !sure {
		return false
	}
	if want, valid := parsed(s, region); number != want || ok != valid {
		t.Errorf("%q in %s: got %q %v, want %q %v", s, region, number, ok, want, valid)
	}
	return true
}

func FuzzPlainE164(f *testing.F) {
	for _, region := range []string{"CN", "US", "GB", "IT", "KZ", "GG", "BR", "AR", "MX", "ZZ"} {
		f.Add("13800138000", region)
		f.Add("+4915123456789", region)
		f.Add("+800123456789", region)
	}
	f.Add("1120000000", "55") // a country code is no region
	f.Fuzz(func(t *testing.T, s, region string) { agree(t, s, region) })
}
