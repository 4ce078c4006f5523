package jq

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// yields checks what a program without input gives, as JSON; "" is ErrFailed.
func yields(t *testing.T, src string, in any, want string) {
	t.Helper()
	out, err := compile(t, src, Spec{}).Run(t.Context(), in)
	switch {
	case want == "":
		if !errors.Is(err, ErrFailed) {
			t.Errorf("%s of %v: %v, %v", src, in, out, err)
		}
	case err != nil:
		t.Errorf("%s of %v: %v", src, in, err)
	case encode(t, out) != want:
		t.Errorf("%s of %v = %s, want %s", src, in, encode(t, out), want)
	}
}

func TestDigests(t *testing.T) {
	t.Parallel()
	million := strings.Repeat("a", 1_000_000)
	tests := []struct{ src, in, want string }{
		// RFC 1321, A.5
		{"md5", "", "d41d8cd98f00b204e9800998ecf8427e"},
		{"md5", "a", "0cc175b9c0f1b6a831c399e269772661"},
		{"md5", "abc", "900150983cd24fb0d6963f7d28e17f72"},
		{"md5", "message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
		{"md5", "abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
		{"md5", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"},
		{"md5", strings.Repeat("1234567890", 8), "57edf4a22be3c955ac49da2e2107b67a"},
		// FIPS 180 examples
		{"sha1", "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
		{"sha1", "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
		{"sha1", million, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"},
		{"sha256", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{
			"sha256", "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
			"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
		},
		{"sha256", million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
		{
			"sha512", "abc", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" +
				"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
		},
		{
			"sha512", "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
			"8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018" +
				"501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909",
		},
	}
	for _, tt := range tests {
		yields(t, tt.src, tt.in, `"`+tt.want+`"`)
		yields(t, tt.src, 1, "")
		yields(t, tt.src, nil, "")
	}
	// The protocol's signature.
	p := compile(t, `$app_key + ($timestamp | tostring) + $app_secret | md5`, Spec{Vars: []string{"app_key", "timestamp", "app_secret"}})
	if out, err := p.Run(t.Context(), nil, "key", 1700000000000, "secret"); err != nil || out != "f48b7835b4b4cde6d4763b0832f7dd45" {
		t.Errorf("%v, %v", out, err)
	}
}

func TestHMAC(t *testing.T) {
	t.Parallel()
	key := func(hexKey string) string {
		b, _ := hex.DecodeString(hexKey)
		return base64.StdEncoding.EncodeToString(b)
	}
	tests := []struct{ alg, hexKey, text, want string }{
		// RFC 2202, 2 and 3
		{"md5", strings.Repeat("0b", 16), "Hi There", "9294727a3638bb1c13f48ef8158bfc9d"},
		{"md5", hex.EncodeToString([]byte("Jefe")), "what do ya want for nothing?", "750c783e6ab0b503eaa86e310a5db738"},
		{"md5", strings.Repeat("aa", 80), "Test Using Larger Than Block-Size Key - Hash Key First", "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"},
		{"sha1", strings.Repeat("0b", 20), "Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"},
		{"sha1", hex.EncodeToString([]byte("Jefe")), "what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
		// RFC 4231, 4
		{"sha256", strings.Repeat("0b", 20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{
			"sha256", hex.EncodeToString([]byte("Jefe")), "what do ya want for nothing?",
			"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
		},
		{
			"sha512", strings.Repeat("0b", 20), "Hi There", "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde" +
				"daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
		},
		{
			"sha512", hex.EncodeToString([]byte("Jefe")), "what do ya want for nothing?",
			"164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554" +
				"9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
		},
	}
	for _, tt := range tests {
		yields(t, `hmac("`+tt.alg+`"; "`+tt.hexKey+`"; "hex")`, tt.text, `"`+tt.want+`"`)
		yields(t, `hmac("`+tt.alg+`"; "`+key(tt.hexKey)+`"; "base64")`, tt.text, `"`+tt.want+`"`)
	}
	yields(t, `hmac("md5"; "Jefe")`, "what do ya want for nothing?", `"750c783e6ab0b503eaa86e310a5db738"`)
	// Both alphabets, with and without padding, are one key.
	yields(t, `hmac("sha1"; "_-8"; "base64") == hmac("sha1"; "/+8="; "base64")`, "x", `true`)
	yields(t, `hmac("sha1"; "x"; "hex")`, "x", "")
	yields(t, `hmac("sha1"; "x"; "base64")`, "x", "")
	yields(t, `hmac("sha1"; 1)`, "x", "")
	yields(t, `hmac("sha1"; "k")`, 1, "")
	yields(t, `hmac(.; "k")`, "sha3", "")
	yields(t, `hmac("md5"; "k"; .)`, "rot13", "")
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	// RFC 4648, 10
	for in, want := range map[string]string{
		"": "", "f": "66", "fo": "666f", "foo": "666f6f", "foob": "666f6f62", "fooba": "666f6f6261", "foobar": "666f6f626172",
	} {
		yields(t, "hex", in, `"`+want+`"`)
		yields(t, "unhex", want, `"`+in+`"`)
		yields(t, "unhex", strings.ToUpper(want), `"`+in+`"`)
	}
	for in, want := range map[string]string{
		"": "", "f": "Zg", "fo": "Zm8", "foo": "Zm9v", "foob": "Zm9vYg", "fooba": "Zm9vYmE", "foobar": "Zm9vYmFy", "ÿ~?>": "w79-Pz4",
	} {
		yields(t, "base64url", in, `"`+want+`"`)
	}
	yields(t, "unhex", "e4b8ad", `"中"`)
	yields(t, "unhex", "ff", "") // not UTF-8
	yields(t, "unhex", "6", "")
	yields(t, "unhex", "zz", "")
	yields(t, "hex", 1, "")
	yields(t, "base64url", nil, "")
}

func TestURLEncode(t *testing.T) {
	t.Parallel()
	// WHATWG URL, application/x-www-form-urlencoded percent-encode set
	yields(t, "urlencode", "azAZ09*-._", `"azAZ09*-._"`)
	yields(t, "urlencode", " ", `"+"`)
	yields(t, "urlencode", "+", `"%2B"`)
	yields(t, "urlencode", "~!'()&=%/?#\x00\x7f", `"%7E%21%27%28%29%26%3D%25%2F%3F%23%00%7F"`)
	yields(t, "urlencode", "中 é", `"%E4%B8%AD+%C3%A9"`)
	yields(t, "urlencode", "", `""`)
	yields(t, "urlencode", 1.5, `"1.5"`)
	yields(t, "urlencode", true, `"true"`)
	all := make([]byte, 0, 256)
	for c := range 128 {
		all = append(all, byte(c))
	}
	out, err := compile(t, "urlencode", Spec{}).Run(t.Context(), string(all))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := url.QueryUnescape(out.(string)); err != nil || back != string(all) {
		t.Errorf("%q comes back as %q, %v", all, back, err)
	}
}

func TestUUID(t *testing.T) {
	t.Parallel()
	p := compile(t, `[uuid, uuid]`, Spec{})
	out, err := p.Run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ids := out.([]any)
	v4 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if !v4.MatchString(ids[0].(string)) || !v4.MatchString(ids[1].(string)) || ids[0] == ids[1] {
		t.Errorf("%v", ids)
	}
}

func TestFlat(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{`{}`, `{}`},
		{`{"a":1}`, `{"a":"1"}`},
		{`{"a":{"b":{"c":"x"}}}`, `{"a_b_c":"x"}`},
		{`{"a":[1,"x",null]}`, `{"a_1":"1","a_2":"x","a_3":"","a_count":"3"}`},
		{`{"list":[{"n":1},{"n":2}]}`, `{"list_1_n":"1","list_2_n":"2","list_count":"2"}`},
		{`{"list":[]}`, `{"list_count":"0"}`},
		{`{"a":[[1],[]]}`, `{"a_1_1":"1","a_1_count":"1","a_2_count":"0","a_count":"2"}`},
		{`{"a":{}}`, `{}`},
		{`{"t":true,"f":false,"n":null}`, `{"f":"false","n":"","t":"true"}`},
		{`{"a":9007199254740993,"b":1.10,"c":1e2}`, `{"a":"9007199254740993","b":"1.10","c":"1e2"}`},
		{`[1,2]`, `{"1":"1","2":"2","count":"2"}`},
		{`{"a_b":1,"a":{"b":2}}`, ``},
		{`{"a":[1],"a_count":2}`, ``},
		{`"x"`, ``},
		{`null`, ``},
	}
	for _, tt := range tests {
		yields(t, "flat", decode(t, tt.in), tt.want)
	}
}

func TestE164(t *testing.T) {
	t.Parallel()
	yields(t, `e164("CN")`, "138-0013-8000", `"+8613800138000"`)
	yields(t, `e164("CN")`, decode(t, "13800138000"), `"+8613800138000"`)
	yields(t, `e164("CN")`, 13800138000, `"+8613800138000"`)
	yields(t, `e164("")`, "+8613800138000", `"+8613800138000"`)
	yields(t, `e164("")`, "13800138000", `null`)
	yields(t, `e164("CN")`, "anonymous", `null`)
	yields(t, `e164("CN")`, nil, `null`)
	yields(t, `e164("CN")`, true, `null`)
	yields(t, `e164("CN")`, []any{}, `null`)
	yields(t, `e164(1)`, "13800138000", ``)
}

func TestDate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		src  string
		in   any
		want string
	}{
		{`date("2006-01-02 15:04:05"; "UTC")`, 0, `"1970-01-01 00:00:00"`},
		{`date("2006-01-02 15:04:05"; "UTC")`, 1700000000, `"2023-11-14 22:13:20"`},
		{`date("2006-01-02 15:04:05"; "Asia/Shanghai")`, 1700000000, `"2023-11-15 06:13:20"`},
		{`date("2006-01-02 15:04:05.000"; "UTC")`, 1700000000123, `"2023-11-14 22:13:20.123"`},
		{`date("2006-01-02 15:04:05.000"; "UTC")`, 1700000000.5, `"2023-11-14 22:13:20.500"`},
		{`date("2006-01-02 15:04:05.000"; "UTC")`, 1700000000123.4, `"2023-11-14 22:13:20.123"`},
		{`date("20060102150405"; "UTC")`, "1700000000", `"20231114221320"`},
		{`date("20060102150405"; "UTC")`, decode(t, "1700000000"), `"20231114221320"`},
		{`date("2006"; "UTC")`, -86400, `"1969"`},
		{`date("2006"; "UTC")`, 99999999999, `"5138"`},
		{`date("2006"; "UTC")`, 100000000000, `"1973"`},
		{`date("2006-01-02T15:04:05Z07:00"; "America/New_York")`, 1700000000, `"2023-11-14T17:13:20-05:00"`},
		{`date("2006-01-02"; "Asia/Shanghai")`, "2026-01-02T03:04:05Z", `"2026-01-02"`},
		// with fractions of a second, as most APIs write it, it once failed
		{`date("2006-01-02"; "Asia/Shanghai")`, "2026-01-02T03:04:05.678Z", `"2026-01-02"`},
		{`date("2006-01-02 15:04:05.000"; "UTC")`, "2026-01-02T03:04:05.678901234+08:00", `"2026-01-01 19:04:05.678"`},
		{`date("15:04"; "UTC")`, "2026-01-02t03:04:05z", `"03:04"`},
		{`date("2006"; "UTC")`, "2026-01-02", ``},
		{`date("2006"; "UTC")`, "2026-13-02T03:04:05Z", ``},
		{`date("2006"; "UTC")`, "2026-01-02T03:04:05", ``}, // in no zone
		{`date(""; "UTC")`, 0, `""`},
		{`date("2006"; .)`, "Local", ``},
		{`date("2006"; "UTC")`, "x", ``},
		{`date("2006"; "UTC")`, "", ``},
		{`date("2006"; "UTC")`, nil, ``},
		{`date("2006"; "UTC")`, 1e300, ``},
		{`date("2006"; "UTC")`, "NaN", ``},
		{`date(1; "UTC")`, 0, ``},
		{`. as $z | 0 | date("2006"; $z)`, "Europe/Nowhere", ``},
		{`. as $z | 0 | date("2006"; $z)`, "../etc/passwd", ``},
		{`. as $z | 0 | date("2006"; $z)`, "", ``},
		{`. as $l | 0 | date($l; "UTC")`, strings.Repeat("x", 2000), ``},
	}
	for _, tt := range tests {
		yields(t, tt.src, tt.in, tt.want)
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "***", "1": "***", "12345678": "***", "123456789": "123***89", "+8613800138000": "+86***00", "张伟张伟张伟张伟张": "张伟张***伟张",
	} {
		yields(t, "mask", in, `"`+want+`"`)
	}
	yields(t, "mask", decode(t, "13800138000"), `"138***00"`)
	yields(t, "mask", nil, `"***"`)
}
