package phone

import (
	"slices"
	"strings"
	"testing"
)

func TestSpell(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		e164             string
		region           Region
		national, digits string
		has, hasNot      []string
	}{
		{
			"+8613800138000",
			Region{Country: "CN"},
			"13800138000", "8613800138000",
			[]string{
				"+8613800138000", "8613800138000", "008613800138000", "13800138000", "013800138000", "138-0013-8000",
				"138 0013 8000", "138.0013.8000", "+86 138 0013 8000", "+86-138-0013-8000", "+86 138-0013-8000",
				"+86 13800138000", "86-13800138000", "(+86)13800138000",
			},
			[]string{"01186138001380000", "0118613800138000"},
		},
		{
			"+861065529988",
			Region{Country: "CN", AreaCode: "010"},
			"01065529988", "861065529988",
			[]string{"01065529988", "010-65529988", "010-6552-9988", "(010)65529988", "(010) 6552 9988", "65529988", "+86 10 6552 9988"},
			nil,
		},
		{
			"+861065529988",
			Region{Country: "CN"},
			"01065529988", "861065529988",
			[]string{"010-65529988"},
			[]string{"65529988"},
		},
		{
			"+16502530000",
			Region{Country: "US"},
			"6502530000", "16502530000",
			[]string{
				"+16502530000", "16502530000", "6502530000", "(650) 253-0000", "650-253-0000", "650.253.0000", "650 253 0000",
				"1-650-253-0000", "+1 650-253-0000", "+1 (650) 253-0000", "01116502530000", "(650)253-0000",
			},
			[]string{"06502530000"},
		},
		{
			"+4930123456",
			Region{Country: "DE"},
			"030123456", "4930123456",
			[]string{"+4930123456", "004930123456", "030123456", "030 123456", "030/123456", "030-123456", "(030) 123456", "+49 30 123456", "+49 (0)30 123456"},
			nil,
		},
		{
			"+442079460018",
			Region{Country: "GB"},
			"02079460018", "442079460018",
			[]string{"+442079460018", "00442079460018", "02079460018", "020 7946 0018", "(020) 7946 0018", "020-7946-0018", "+44 (0)20 7946 0018", "+44 20 7946 0018"},
			nil,
		},
		// Its digits are a mobile number in China: in a Chinese table they mean
		// somebody else.
		{
			"+16502530000",
			Region{Country: "CN"},
			"6502530000", "16502530000",
			[]string{"+16502530000", "0016502530000", "+1 650-253-0000", "+1 (650) 253-0000"},
			[]string{"16502530000", "6502530000", "650-253-0000", "1-650-253-0000"},
		},
		// Own tables still have the numbers of before a renumbering.
		{
			"+525512345678",
			Region{Country: "CN"},
			"5512345678", "525512345678",
			[]string{"+525512345678", "+5215512345678", "+52 55 1234 5678", "+52 15512345678"},
			[]string{"15512345678", "5512345678"},
		},
		{
			"+5511981234567",
			Region{Country: "BR"},
			"11981234567", "5511981234567",
			[]string{"+5511981234567", "+551181234567", "551181234567", "1181234567", "(11) 98123-4567"},
			nil,
		},
		// Without a region every number comes with its country.
		{
			"+8613800138000",
			Region{},
			"13800138000", "8613800138000",
			[]string{"+8613800138000", "8613800138000", "008613800138000", "+86 138 0013 8000"},
			[]string{"13800138000", "138-0013-8000"},
		},
	} {
		s, ok := tt.region.Spell(tt.e164)
		if !ok || s.E164 != tt.e164 || s.National != tt.national || s.Digits != tt.digits {
			t.Errorf("%s in %v: %v, %+v", tt.e164, tt.region, ok, s)
		}
		for _, want := range tt.has {
			if !slices.Contains(s.Variants, want) {
				t.Errorf("%s in %v: %q is missing in %q", tt.e164, tt.region, want, s.Variants)
			}
		}
		for _, other := range tt.hasNot {
			if slices.Contains(s.Variants, other) {
				t.Errorf("%s in %v: %q is another number", tt.e164, tt.region, other)
			}
		}
		if len(s.Variants) > 64 {
			t.Errorf("%s in %v has %d variants", tt.e164, tt.region, len(s.Variants))
		}
		if slices.Contains(s.Variants, "") {
			t.Errorf("%s in %v has a blank variant", tt.e164, tt.region)
		}
	}
}

func TestSpellNothing(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "+", "13800138000", "+86138", "anonymous", "%"} {
		if got, ok := (Region{Country: "CN"}).Spell(s); ok || got.Variants != nil {
			t.Errorf("Spell(%q) = %+v", s, got)
		}
	}
}

// Whatever the number is, all its spellings read as that number again.
func FuzzSpell(f *testing.F) {
	for _, s := range []string{"+8613800138000", "+16502530000", "+4930123456", "+442079460018", "+541143211234", "+80012345678"} {
		f.Add(s, "CN", "010")
		f.Add(s, "US", "")
		f.Add(s, "", "")
	}
	f.Fuzz(func(t *testing.T, s, country, area string) {
		region, err := ParseRegion(country, area)
		if err != nil {
			region = Region{}
		}
		e164, ok := region.E164(s)
		if !ok {
			return
		}
		spellings, ok := region.Spell(e164)
		if !ok || !slices.Contains(spellings.Variants, e164) {
			t.Fatalf("%s in %v: %v, %+v", e164, region, ok, spellings)
		}
		for _, v := range spellings.Variants {
			got, _ := region.E164(v)
			if region.Country == "" && got == "" {
				got = "+" + strings.TrimPrefix(digitsOf(v), "00")
			}
			if got != e164 {
				t.Errorf("%s in %v is spelled %q, which is %q", e164, region, v, got)
			}
		}
	})
}

func BenchmarkSpell(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Region{Country: "CN"}.Spell("+8613800138000")
	}
}
