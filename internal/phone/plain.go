package phone

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/nyaruka/phonenumbers"
)

// plainE164 is [E164] of a plain number: nothing but digits, perhaps behind a
// plus, and nothing before the national number that has to be taken away. Most
// callers and most customers have one. Phonenumbers looks for everything else a
// text might hold, which takes some thirty times as long as the question whether
// the number is valid. sure is false for all that is left to it.
func plainE164(s, region string) (number string, ok, sure bool) {
	national, international := strings.CutPrefix(s, "+")
	if len(national) < 5 || len(national) > 15 || strings.Trim(national, "0123456789") != "" {
		return "", false, false
	}
	var c *country
	if international {
		c = numbering().countryOf(national)
	} else {
		c = numbering().regions[region]
	}
	switch {
	case c == nil || c.international == nil:
		return "", false, false
	case international:
		national = national[len(c.code):]
	case strings.HasPrefix(national, c.code) || c.international.matches(national):
		return "", false, false
	}
	if national[0] == '0' || c.national.matches(national) {
		return "", false, false
	}
	if !c.valid(national) {
		return "", false, !hasRenumbered(c.code) // else it may be one of before
	}
	return "+" + c.code + national, true, true
}

// country says how numbers are built in it.
type country struct {
	code          string
	international *pattern   // what is dialled before a number of another country
	national      *pattern   // what is dialled before one of its own
	leading       *pattern   // tells its numbers from those of others of its zone
	kinds         []kind     // the first holds all others
	zone          []*country // those of the same code, the main one first
}

// kind is a kind of numbers, such as those of mobile telephones.
type kind struct {
	lengths []int32 // none is any
	digits  *pattern
}

// plan is how the world's numbers are built.
type plan struct {
	regions map[string]*country // by ISO 3166 code
	codes   map[string]*country // the main country of each country code
}

// numbering is the plan in phonenumbers' own tables.
var numbering = sync.OnceValue(func() plan {
	p := plan{make(map[string]*country), make(map[string]*country)}
	tables, err := phonenumbers.MetadataCollection()
	if err != nil {
		return p // then no number is plain
	}
	for _, table := range tables.GetMetadata() {
		if table.GetId() != phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY {
			p.regions[table.GetId()] = newCountry(table)
		}
	}
	for code := range phonenumbers.GetSupportedCallingCodes() {
		var zone []*country
		for _, region := range phonenumbers.GetRegionCodesForCountryCode(code) {
			if c := p.regions[region]; c != nil {
				zone = append(zone, c)
			}
		}
		for _, c := range zone {
			c.zone = zone
		}
		if len(zone) > 0 {
			p.codes[strconv.Itoa(code)] = zone[0]
		}
	}
	return p
})

func newCountry(table *phonenumbers.PhoneMetadata) *country {
	c := &country{
		code:          strconv.Itoa(int(table.GetCountryCode())),
		international: begins(table.GetInternationalPrefix()),
		national:      begins(table.GetNationalPrefixForParsing()),
		leading:       begins(table.GetLeadingDigits()),
	}
	kinds := []*phonenumbers.PhoneNumberDesc{
		table.GetGeneralDesc(), table.GetMobile(), table.GetFixedLine(), table.GetPremiumRate(), table.GetTollFree(),
		table.GetSharedCost(), table.GetVoip(), table.GetPersonalNumber(), table.GetPager(), table.GetUan(), table.GetVoicemail(),
	}
	for _, k := range kinds {
		if k.GetNationalNumberPattern() != "" {
			c.kinds = append(c.kinds, kind{k.GetPossibleLength(), &pattern{text: "^(?:" + k.GetNationalNumberPattern() + ")$"}})
		}
	}
	return c
}

// countryOf is the main country of the country code that a number begins with;
// nil when there is none.
func (p plan) countryOf(number string) *country {
	return cmp.Or(p.codes[number[:1]], p.codes[number[:2]], p.codes[number[:3]])
}

// valid reports whether a national number is one of the zone's. The first country
// that its digits lead to decides.
func (c *country) valid(number string) bool {
	for _, member := range c.zone {
		switch {
		case len(c.zone) == 1 || member.leading == nil:
			if member.has(number) {
				return true
			}
		case member.leading.matches(number):
			return member.has(number)
		}
	}
	return false
}

func (c *country) has(number string) bool {
	return c.kinds[0].has(number) && slices.ContainsFunc(c.kinds[1:], func(k kind) bool { return k.has(number) })
}

func (k kind) has(number string) bool {
	return (len(k.lengths) == 0 || slices.Contains(k.lengths, int32(len(number)))) && k.digits.matches(number) //nolint:gosec // 15 at most
}

// pattern is a regular expression that is compiled with its first use: there are
// thousands, and a directory meets a few. A nil one matches nothing.
type pattern struct {
	text     string
	once     sync.Once
	compiled *regexp.Regexp
}

// begins is the pattern of what a number begins with.
func begins(text string) *pattern {
	if text == "" {
		return nil
	}
	return &pattern{text: "^(?:" + text + ")"}
}

func (p *pattern) matches(s string) bool {
	if p == nil {
		return false
	}
	p.once.Do(func() { p.compiled = regexp.MustCompile(p.text) })
	return p.compiled.MatchString(s)
}
