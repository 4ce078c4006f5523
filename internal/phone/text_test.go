package phone

import (
	"strings"
	"testing"
	"unicode"
)

// Nothing that can't be seen matters, wherever it stands: 15 characters that
// contact lists and chats put into numbers made them nobody's.
func TestInvisibleCharactersDontMatter(t *testing.T) {
	t.Parallel()
	var invisible []rune
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		if unicode.In(r, unicode.Cf, unicode.Zs) {
			invisible = append(invisible, r)
		}
	}
	invisible = append(invisible, ' ', '\t', '\u034f', '\u115f', '\u1160', '\u17b4', '\u3164', '\uffa0', '\ufe0e', '\ufe0f', '\u2800', '\U000e0100')
	if len(invisible) < 150 {
		t.Fatalf("only %d characters", len(invisible))
	}
	for _, number := range []string{"+8613800138000", "138-0013-8000", "tel:+86-138-0013-8000"} {
		for _, r := range invisible {
			for _, at := range []int{0, 1, len(number) / 2, len(number)} {
				s := number[:at] + string(r) + number[at:]
				if got, ok := E164(s, "CN"); !ok || got != "+8613800138000" {
					t.Errorf("%+q: %q", s, got)
				}
			}
		}
	}
}

func TestUnwrap(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                  "",
		"13800138000":       "13800138000",
		"13800138000.0":     "13800138000",
		"+8613800138000.00": "+8613800138000",
		`="13800138000"`:    "13800138000",
		`="+86 138"`:        "+86 138",
		"'13800138000":      "13800138000",
		"''+86138":          "''+86138",
		`="'138.0"`:         "138",
		"138.0013.8000":     "138.0013.8000",
		"13800138000.5":     "13800138000.5",
		"13800138000.":      "13800138000.",
		"138 0013 8000.0":   "138 0013 8000.0",
		".0":                ".0",
		"'":                 "'",
		`=""`:               `=""`,
		`="`:                `="`,
		"1.38001E+10":       "1.38001E+10",
		"'alice":            "'alice",
	} {
		if got := Unwrap(in); got != want {
			t.Errorf("Unwrap(%q) = %q, want %q", in, got, want)
		}
	}
}

// Reading a number twice is reading it once, and what stands around it for
// people or for a channel doesn't change whose it is.
func FuzzText(f *testing.F) {
	for _, s := range []string{"13800138000.0", `="13800138000"`, "'+86138", "whatsapp:+8613800138000", "sip:%2B86138@h;ext=1", "＋８６", "\u202a+86\u202c", "tel:1;phone-context=+86"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if once := Fold(s); Fold(once) != once {
			t.Errorf("%q is %q, and then %q", s, once, Fold(once))
		}
		if once := Unwrap(s); Unwrap(once) != once {
			t.Errorf("%q is %q, and then %q", s, once, Unwrap(once))
		}
		number, ok := E164(s, "CN")
		if !ok || strings.ContainsAny(s, "<:") || Unwrap(Fold(s)) != Fold(s) {
			return
		}
		for _, around := range []string{"\u202a%s\u202c", "tel:%s", "whatsapp:%s", "\ufeff%s", "<%s>", "\u00a0%s\u00a0"} {
			other := strings.Replace(around, "%s", s, 1)
			if len(other) > maxLength {
				continue
			}
			if got, _ := E164(other, "CN"); got != number {
				t.Errorf("%q is %q, but %q is %q", s, number, other, got)
			}
		}
	})
}
