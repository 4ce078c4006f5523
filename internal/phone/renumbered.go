package phone

import (
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// renumbering says how numbers of a country were changed: of those whose national
// number has a length, and old behind its first keep digits, old became new.
//
// Telephones, address books and messaging services still know the old number of
// a subscriber. It is read as the new one, and only where the old one is not a
// valid number today, so that it can't be anybody else's.
type renumbering struct {
	code     string // of the country
	length   int    // of the old national number, in digits
	keep     int    // digits before what changed
	old, new string
}

// renumberings are those whose source says for each old number which new one it
// became. Argentina's 9 before mobile numbers is not one of them: the number
// without it is valid, too, and may be somebody else's.
var renumberings = []renumbering{
	// Mexico, 3 August 2019: no 1 before mobile numbers called from abroad, and no
	// 01, 044 and 045 within the country. ITU Operational Bulletin 1151,
	// https://ituob.org/issues/1151-en, and
	// https://www.commsupdate.com/articles/2019/07/18/mexico-to-introduce-10-digit-phone-numbers-on-3-august/
	{"52", 11, 0, "1", ""},
	{"52", 12, 0, "01", ""},
	{"52", 13, 0, "044", ""},
	{"52", 13, 0, "045", ""},

	// Brazil, 2012 to 2016: a 9 before mobile numbers, behind the area code. Those
	// of trunked radio, which begin with 7, kept eight digits. Anatel, resolution
	// 553/2010; https://vcfaz.tv/2012/10/anatel-define-cronograma-de-implementao-do-nono-dgito-em-todo-pas/
	{"55", 10, 2, "6", "96"},
	{"55", 10, 2, "8", "98"},
	{"55", 10, 2, "9", "99"},

	// Benin, 30 November 2024: 01 before all numbers.
	// https://fr.allafrica.com/stories/202411300249.html
	{"229", 8, 0, "", "01"},

	// Vietnam, 15 September 2018: mobile numbers of eleven digits lost one.
	// https://sggpnews.org.vn/science_technology/mobile-phone-numbers-conversion-to-affect-60-million-subscribers-nationwide-76279.html
	{"84", 10, 0, "120", "70"},
	{"84", 10, 0, "121", "79"},
	{"84", 10, 0, "122", "77"},
	{"84", 10, 0, "126", "76"},
	{"84", 10, 0, "128", "78"},
	{"84", 10, 0, "123", "83"},
	{"84", 10, 0, "124", "84"},
	{"84", 10, 0, "125", "85"},
	{"84", 10, 0, "127", "81"},
	{"84", 10, 0, "129", "82"},
	{"84", 10, 0, "162", "32"},
	{"84", 10, 0, "163", "33"},
	{"84", 10, 0, "164", "34"},
	{"84", 10, 0, "165", "35"},
	{"84", 10, 0, "166", "36"},
	{"84", 10, 0, "167", "37"},
	{"84", 10, 0, "168", "38"},
	{"84", 10, 0, "169", "39"},
	{"84", 10, 0, "186", "56"},
	{"84", 10, 0, "188", "58"},
	{"84", 10, 0, "199", "59"},
}

// hasRenumbered reports whether a country has old numbers.
func hasRenumbered(code string) bool {
	return slices.ContainsFunc(renumberings, func(r renumbering) bool { return r.code == code })
}

// renumbered returns what a number that isn't valid has become. ok is false where
// it has become nothing.
func renumbered(number string) (current string, ok bool) {
	for _, r := range renumberings {
		current, ok := r.forward(number)
		if ok && isValid(current) && !isValid(number) {
			return current, true
		}
	}
	return "", false
}

// formerly returns the numbers that have become this one.
func formerly(number string) (old []string) {
	for _, r := range renumberings {
		if former, ok := r.back(number); ok && !isValid(former) {
			old = append(old, former)
		}
	}
	return old
}

func (r renumbering) forward(number string) (string, bool) {
	national, ok := strings.CutPrefix(number, "+"+r.code)
	if !ok || len(national) != r.length || !strings.HasPrefix(national[r.keep:], r.old) {
		return "", false
	}
	return "+" + r.code + national[:r.keep] + r.new + national[r.keep+len(r.old):], true
}

func (r renumbering) back(number string) (string, bool) {
	return renumbering{r.code, r.length - len(r.old) + len(r.new), r.keep, r.new, r.old}.forward(number)
}

func isValid(number string) bool {
	n, err := phonenumbers.Parse(number, phonenumbers.UNKNOWN_REGION)
	return err == nil && phonenumbers.IsValidNumber(n)
}
