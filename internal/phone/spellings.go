package phone

import (
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Spellings are the ways in which tables hold one number.
type Spellings struct {
	// E164 as in "+8613800138000".
	E164 string
	// National is what is dialled within its country, digits only: "13800138000"
	// in China, "02079460018" in Britain.
	National string
	// Digits are those of E164: "8613800138000".
	Digits string
	// Variants are all of these, the usual ones with blanks and signs, and those of
	// the number before a renumbering. Each of them means this number, and no other
	// one, to those who read it in the region.
	Variants []string
}

// Spell spells a number that E164 gave. A spelling without a country code is
// one of the variants only where the number is one of the region; without a
// region there are only those with a country code. ok is false for what is no
// valid number in E.164.
func (r Region) Spell(e164 string) (s Spellings, ok bool) {
	n, err := phonenumbers.Parse(e164, phonenumbers.UNKNOWN_REGION)
	if err != nil || !strings.HasPrefix(e164, "+") || !phonenumbers.IsValidNumber(n) {
		return Spellings{}, false
	}
	national := phonenumbers.Format(n, phonenumbers.NATIONAL)
	s.E164 = phonenumbers.Format(n, phonenumbers.E164)
	s.Digits = s.E164[1:]
	s.National = digitsOf(national)
	country, groups := groupsOf(phonenumbers.Format(n, phonenumbers.INTERNATIONAL))
	subscriber := strings.Join(groups, "")
	trunk := strings.TrimSuffix(s.National, subscriber)
	if trunk == s.National {
		trunk = ""
	}

	c := collector{region: r, want: s.E164, means: map[string]bool{}}
	c.add(s.E164, s.Digits, s.National, subscriber)
	for _, exit := range exits {
		c.add(exit + s.Digits)
	}
	for _, trunk := range trunks {
		c.add(trunk + subscriber)
	}
	c.add(national, phonenumbers.Format(n, phonenumbers.INTERNATIONAL))
	_, dialled := groupsOf("+ " + national)
	for _, sign := range []string{" ", "-", "."} {
		c.add("+"+country+sign+strings.Join(groups, sign), "+"+country+sign+subscriber,
			"+"+country+" "+strings.Join(groups, sign), strings.Join(groups, sign),
			country+sign+strings.Join(groups, sign), country+sign+subscriber, strings.Join(dialled, sign))
	}
	c.add("+"+country+" ("+groups[0]+") "+strings.Join(groups[1:], "-"), "(+"+country+")"+subscriber)
	if trunk != "" {
		c.add("+"+country+" ("+trunk+")"+strings.Join(groups, " "), "+"+country+" ("+trunk+") "+strings.Join(groups, " "))
	}
	if len(dialled) > 1 {
		area, rest := dialled[0], dialled[1:]
		for _, sign := range []string{" ", "-", "/"} {
			c.add(area + sign + strings.Join(rest, ""))
		}
		for _, sign := range []string{"", " ", "-"} {
			c.add("("+area+")"+strings.Join(rest, sign), "("+area+") "+strings.Join(rest, sign))
		}
	}
	if local, ok := strings.CutPrefix(s.National, r.AreaCode); ok && r.AreaCode != "" {
		c.add(local)
	}
	for _, old := range formerly(s.E164) {
		c.addFormer(old, country)
	}
	s.Variants = c.variants
	return s, true
}

// exits are what is dialled before a country code (ITU-T list of international
// prefixes, the common ones), trunks what is dialled before an area code. Those
// that are not used in the region fall out.
var (
	exits  = []string{"00", "011", "0011", "810"}
	trunks = []string{"0", "1", "8"}
)

// collector gathers the spellings that mean one number.
type collector struct {
	region   Region
	want     string
	variants []string
	means    map[string]bool // by what is left without blanks and signs
}

func (c *collector) add(spellings ...string) {
	for _, s := range spellings {
		if s != "" && c.isOurs(s) && !slices.Contains(c.variants, s) {
			c.variants = append(c.variants, s)
		}
	}
}

// addFormer adds the spellings of a number of before a renumbering, fewer than of
// today's.
func (c *collector) addFormer(old, country string) {
	digits := old[1:]
	national := digits[len(country):]
	c.add(old, digits, national, "0"+national)
	for _, exit := range exits {
		c.add(exit + digits)
	}
	if n, err := phonenumbers.Parse(old, phonenumbers.UNKNOWN_REGION); err == nil {
		c.add(phonenumbers.Format(n, phonenumbers.INTERNATIONAL), phonenumbers.Format(n, phonenumbers.NATIONAL))
	}
	c.add("+"+country+" "+national, "+"+country+"-"+national)
}

// isOurs reports whether somebody who reads the spelling in the region means the
// number.
func (c *collector) isOurs(s string) bool {
	bare := digitsOf(s)
	if strings.Contains(s, "+") {
		bare = "+" + bare
	}
	ours, known := c.means[bare]
	if !known {
		got, _ := c.region.E164(s)
		if c.region.Country == "" && got == "" {
			digits := strings.TrimPrefix(bare, "00")
			got = "+" + digits
		}
		ours = got == c.want
		c.means[bare] = ours
	}
	return ours
}

// groupsOf cuts "+86 138 0013 8000" into the country code and the groups that
// follow it.
func groupsOf(international string) (country string, groups []string) {
	fields := strings.FieldsFunc(international, func(r rune) bool { return r != '+' && (r < '0' || r > '9') })
	return strings.TrimPrefix(fields[0], "+"), fields[1:]
}

func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}
