package phone

import (
	"strings"
	"testing"
)

func TestE164(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, region, want string }{
		// One number, as the customer directory meets it.
		{"+86 138-0013-8000", "CN", "+8613800138000"},
		{"+8613800138000", "", "+8613800138000"},
		{"013800138000", "CN", "+8613800138000"},
		{"13800138000", "CN", "+8613800138000"},
		{"13800138000", "cn", "+8613800138000"},
		{"8613800138000", "CN", "+8613800138000"},
		{"0086 138 0013 8000", "CN", "+8613800138000"},
		{" 138.0013.8000 ", "CN", "+8613800138000"},
		{"１３８００１３８０００", "CN", "+8613800138000"},

		// As phone systems send it.
		{"sip:+8613800138000@host", "", "+8613800138000"},
		{"sip:13800138000@10.0.0.1:5060;user=phone", "CN", "+8613800138000"},
		{"SIPS:+8613800138000@host;transport=tls", "CN", "+8613800138000"},
		{"sip:+8613800138000:secret@host", "", "+8613800138000"},
		{"sip:%2B8613800138000@host", "", "+8613800138000"},
		{"sip:+8613800138000;isub=1@host", "", "+8613800138000"},
		{`"Zhang" <sip:+8613800138000@host;user=phone>`, "", "+8613800138000"},
		{`"Zhang" <sip:+8613800138000@host>;tag=a6c85cf`, "", "+8613800138000"},
		{`"Zhang" <13800138000>`, "CN", "+8613800138000"},
		{`"<Zhang>" <13800138000>`, "CN", "+8613800138000"},
		{"13800138000@host", "CN", "+8613800138000"},
		{"tel:+86-138-0013-8000", "", "+8613800138000"},
		{"tel:138-0013-8000;phone-context=+86", "", "+8613800138000"},
		{"tel:+8613800138000;phone-context=+1", "", "+8613800138000"},
		{"tel:13800138000;phone-context=example.com", "CN", "+8613800138000"},

		// Other regions.
		{"(010) 6552 9988", "CN", "+861065529988"},
		{"(650) 253-0000", "US", "+16502530000"},
		{"+1 650 253 0000", "CN", "+16502530000"},
		{"030 123456", "DE", "+4930123456"},
		{"020 7946 0018", "GB", "+442079460018"},
		{"7378742833", "US", "+17378742833"},

		// No number.
		{"", "CN", ""},
		{" ", "CN", ""},
		{"13800138000", "", ""},
		{"0086 138 0013 8000", "", ""},
		{"13800138000", "XX", ""},
		{"138", "CN", ""},
		{"110", "CN", ""},
		{"+999123456789", "", ""},
		{"+86 138 0013 80001", "", ""},
		{"1-800-FLOWERS", "US", ""},
		{"call 13800138000", "CN", ""},
		{"sip:alice@example.com", "CN", ""},
		{"<>", "CN", ""},
		{"<", "CN", ""},
		{"+", "CN", ""},
		{strings.Repeat("1", 300), "CN", ""},
		{strings.Repeat(" ", 250) + "13800138000", "CN", ""},

		// Withheld.
		{"anonymous", "CN", ""},
		{"Anonymous", "", ""},
		{`"Anonymous" <sip:anonymous@anonymous.invalid>`, "CN", ""},
		{"sip:Restricted@host", "US", ""},
		{"+7378742833", "US", ""},
		{"+266696687", "US", ""},
		{"+86282452253", "CN", ""},
		{"unavailable", "US", ""},
	}
	for _, tt := range tests {
		if got, ok := E164(tt.in, tt.region); got != tt.want || ok != (tt.want != "") {
			t.Errorf("E164(%q, %q) = %q, %v; want %q", tt.in, tt.region, got, ok, tt.want)
		}
	}
}

func FuzzE164(f *testing.F) {
	for _, s := range []string{`"Zhang" <sip:+8613800138000@host;user=phone>`, "tel:1;phone-context=+86", "%2B<>;:@", "+٣"} {
		f.Add(s, "CN")
	}
	f.Fuzz(func(t *testing.T, s, region string) {
		n, ok := E164(s, region)
		if !ok {
			if n != "" {
				t.Errorf("E164(%q, %q) = %q without ok", s, region, n)
			}
			return
		}
		// A result is its own E.164, whatever the region.
		if again, ok := E164(n, ""); !ok || again != n {
			t.Errorf("E164(%q) = %q, %v", n, again, ok)
		}
		if len(n) < 4 || len(n) > 18 || strings.Trim(n[1:], "0123456789") != "" || n[0] != '+' {
			t.Errorf("E164(%q, %q) = %q is not E.164", s, region, n)
		}
	})
}

func BenchmarkPlainE164(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		E164("13800138000", "CN")
	}
}

func BenchmarkE164(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		E164("+86 138-0013-8000", "CN")
	}
}
