package signatures

import (
	"crypto"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Aliyun is signature version 1.0 of Alibaba Cloud, with HMAC-SHA1: in the query (RPC)
// or in headers (ROA).
type Aliyun struct {
	KeyID, Secret string
	ROA           bool
	Now           func() time.Time
}

// Check implements Checker.
func (a Aliyun) Check(r *http.Request, body []byte) error {
	if a.ROA {
		return a.roa(r, body)
	}
	return a.rpc(r, body)
}

func (a Aliyun) sign(key, text string) string {
	h := hmac.New(sha1.New, []byte(key))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// unique refuses a name that comes twice.
func unique(list []pair) (map[string]string, error) {
	all := make(map[string]string, len(list))
	for _, p := range list {
		if _, twice := all[p.name]; twice {
			return nil, fmt.Errorf("%s comes twice", p.name)
		}
		all[p.name] = p.value
	}
	return all, nil
}

func (a Aliyun) rpc(r *http.Request, body []byte) error {
	list, err := pairs(r.URL.RawQuery)
	if err != nil {
		return err
	}
	all, err := unique(list)
	if err != nil {
		return err
	}
	for name, want := range map[string]string{"AccessKeyId": a.KeyID, "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0"} {
		if all[name] != want {
			return fmt.Errorf("%s is %q", name, all[name])
		}
	}
	if len(body) > 0 || r.URL.EscapedPath() != "/" || all["Action"] == "" || all["Version"] == "" || all["SignatureNonce"] == "" {
		return errors.New("not a call in the RPC style")
	}
	at, err := time.Parse("2006-01-02T15:04:05Z", all["Timestamp"])
	if err != nil {
		return err
	}
	if err := within(a.Now(), at, 15*time.Minute); err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(p pair) bool { return p.name == "Signature" })
	text := r.Method + "&" + encode("/") + "&" + encode(canonical(list))
	return same(all["Signature"], a.sign(a.Secret+"&", text), text)
}

func (a Aliyun) roa(r *http.Request, body []byte) error {
	var lines []string
	for _, name := range []string{"Accept", "Content-MD5", "Content-Type", "Date"} {
		value, err := header(r, name)
		if err != nil && (len(body) > 0 || name == "Accept" || name == "Date") {
			return err
		}
		lines = append(lines, value)
	}
	if sum := md5.Sum(body); len(body) > 0 && lines[1] != base64.StdEncoding.EncodeToString(sum[:]) {
		return fmt.Errorf("the sum in Content-MD5 is %q", lines[1])
	}
	at, err := time.Parse(http.TimeFormat, lines[3])
	if err != nil {
		return err
	}
	if err := within(a.Now(), at, 15*time.Minute); err != nil {
		return err
	}
	var own []string
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-acs-") {
			value, err := header(r, name)
			if err != nil {
				return err
			}
			own = append(own, lower+":"+value)
		}
	}
	slices.Sort(own)
	for name, want := range map[string]string{"X-Acs-Signature-Method": "HMAC-SHA1", "X-Acs-Signature-Version": "1.0"} {
		if got := r.Header.Get(name); got != want {
			return fmt.Errorf("%s is %q", name, got)
		}
	}
	if r.Header.Get("X-Acs-Signature-Nonce") == "" || r.Header.Get("X-Acs-Version") == "" {
		return errors.New("the nonce or the version is missing")
	}
	query, err := pairs(r.URL.RawQuery)
	if err != nil {
		return err
	}
	slices.SortFunc(query, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	var shown []string
	for _, p := range query {
		shown = append(shown, strings.TrimSuffix(p.name+"="+p.value, "="))
	}
	resource := strings.TrimSuffix(r.URL.EscapedPath()+"?"+strings.Join(shown, "&"), "?")
	text := strings.Join(slices.Concat([]string{r.Method}, lines, own, []string{resource}), "\n")
	return same(r.Header.Get("Authorization"), "acs "+a.KeyID+":"+a.sign(a.Secret, text), text)
}

// form reads a body of parameters, each once and none blank, and joins them as
// they are signed: sorted by name, without the signature.
func form(body []byte, between, behind string) (all map[string]string, joined string, err error) {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, "", err
	}
	all = make(map[string]string, len(values))
	var names, parts []string
	for name, list := range values {
		if len(list) != 1 || list[0] == "" {
			return nil, "", fmt.Errorf("%s is blank or comes twice", name)
		}
		all[name] = list[0]
		if name != "sign" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		parts = append(parts, name+between+all[name])
	}
	return all, strings.Join(parts, behind), nil
}

// chinese reads a time as both platforms write it.
func chinese(text string, now time.Time) error {
	at, err := time.ParseInLocation(time.DateTime, text, time.FixedZone("", 8*3600))
	if err != nil {
		return err
	}
	return within(now, at, 10*time.Minute)
}

// Taobao is the open platform's sign_method md5.
type Taobao struct {
	AppKey, Secret string
	Now            func() time.Time
}

// Check implements Checker.
func (c Taobao) Check(_ *http.Request, body []byte) error {
	all, joined, err := form(body, "", "")
	if err != nil {
		return err
	}
	if all["app_key"] != c.AppKey || all["sign_method"] != "md5" || all["v"] != "2.0" || all["method"] == "" {
		return fmt.Errorf("app_key, sign_method, v or method is wrong in %v", all)
	}
	if err := chinese(all["timestamp"], c.Now()); err != nil {
		return err
	}
	sum := md5.Sum([]byte(c.Secret + joined + c.Secret))
	return same(all["sign"], strings.ToUpper(hex.EncodeToString(sum[:])), joined)
}

// Alipay is the open platform's sign_type RSA2.
type Alipay struct {
	AppID  string
	Public *rsa.PublicKey
	Now    func() time.Time
}

// Check implements Checker.
func (c Alipay) Check(r *http.Request, body []byte) error {
	all, joined, err := form(body, "=", "&")
	if err != nil {
		return err
	}
	if all["app_id"] != c.AppID || all["sign_type"] != "RSA2" || all["version"] != "1.0" || all["method"] == "" || all["charset"] != "utf-8" || r.URL.Query().Get("charset") != "utf-8" {
		return fmt.Errorf("app_id, sign_type, version, method or charset is wrong in %v", all)
	}
	if err := chinese(all["timestamp"], c.Now()); err != nil {
		return err
	}
	signature, err := base64.StdEncoding.DecodeString(all["sign"])
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(joined))
	return rsa.VerifyPKCS1v15(c.Public, crypto.SHA256, sum[:], signature)
}
