package issuer

import (
	"crypto/hmac"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Whether a key exists, how many secrets it has and what the sign looks like
// changes nothing in what is compared: two digests of one length, twice. Who
// measures the time of a refusal learns nothing from it.
func TestEverySignInIsComparedAlike(t *testing.T) {
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	right := signed(testKey, now, testSecret)
	with := func(sign string) map[string]any {
		return map[string]any{"app_key": testKey, "timestamp": now, "sign": sign}
	}
	for _, c := range []struct {
		name   string
		params map[string]any
		reason string
	}{
		{"the right secret", right, ""},
		{"the next secret", signed(testKey, now, nextSecret), ""},
		{"a wrong secret", signed(testKey, now, "wrong"), "wrong_sign"},
		{"a client with one secret", signed(otherKey, now, "wrong"), "wrong_sign"},
		{"a key that nobody has", signed("stranger", now, testSecret), "unknown_client"},
		{"the secret that is nobody's", signed("stranger", now, dummySecret), "unknown_client"},
		{"a short sign", with("00"), "wrong_sign"},
		{"a long sign", with(strings.Repeat("0", 64)), "wrong_sign"},
		{"no sign", with(""), "wrong_sign"},
		{"no hex", with(strings.Repeat("x", 32)), "wrong_sign"},
		{"hex that ends in something else", with(right["sign"].(string)[:31] + "x"), "wrong_sign"},
		{"a short sign of a stranger", map[string]any{"app_key": "stranger", "timestamp": now, "sign": "00"}, "unknown_client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := start(t, newMemory(), func(i *Issuer) { i.Clients = append(i.Clients, Client{testKey, nextSecret}) })
			var compared []string
			in.clients.equal = func(a, b []byte) bool {
				compared = append(compared, fmt.Sprintf("%d %d", len(a), len(b)))
				return hmac.Equal(a, b)
			}
			_, err := in.Obtain(t.Context(), c.params)
			if (err == nil) != (c.reason == "") || in.lastReason() != c.reason {
				t.Errorf("%v, %q; want %q", err, in.lastReason(), c.reason)
			}
			if want := []string{"16 16", "16 16"}; !slices.Equal(compared, want) {
				t.Errorf("compared lengths %q, want %q", compared, want)
			}
		})
	}
}

// A sign has one spelling, and is taken apart into what it says.
func FuzzParseSign(f *testing.F) {
	f.Add(md5hex("a"))
	f.Add(strings.ToUpper(md5hex("a")))
	f.Add(strings.Repeat("0", 31) + "x")
	f.Add("")
	f.Add(strings.Repeat("é", 16))
	f.Fuzz(func(t *testing.T, sign string) {
		digest, ok := parseSign(sign)
		if want := len(sign) == 32 && strings.Trim(sign, "0123456789abcdef") == ""; ok != want {
			t.Fatalf("%q: %v, want %v", sign, ok, want)
		}
		if ok && fmt.Sprintf("%x", digest) != sign {
			t.Fatalf("%q reads as %x", sign, digest)
		}
	})
}
