package signatures

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

var vectors = slices.Concat(AWSVectors, []Vector{TencentVector, AliyunVector, TaobaoVector})

// The checkers take what was published.
func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		if err := v.Check(v.Request(), []byte(v.Body)); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}

// later is a checker's time.
func later(by time.Duration) func() time.Time {
	return func() time.Time { return at(time.RFC3339, "2015-08-30T12:36:00Z")().Add(by) }
}

// The checkers refuse whatever was changed.
func TestChanged(t *testing.T) {
	t.Parallel()
	vanilla, query, form, listUsers := AWSVectors[0], AWSVectors[1], AWSVectors[3], AWSVectors[4]
	for name, tt := range map[string]struct {
		Vector
		change func(r *http.Request)
		body   string
		want   string
	}{
		"another method":             {vanilla, func(r *http.Request) { r.Method = "PUT" }, "", "the signature is"},
		"another path":               {vanilla, func(r *http.Request) { r.URL.Path = "/a" }, "", "the signature is"},
		"another host":               {vanilla, func(r *http.Request) { r.Host = "example.com" }, "", "the signature is"},
		"another port":               {vanilla, func(r *http.Request) { r.Host += ":8080" }, "", "the signature is"},
		"another body":               {form, nil, "Param1=value2", "the signature is"},
		"another query":              {query, func(r *http.Request) { r.URL.RawQuery += "3" }, "", "the signature is"},
		"a query encoded as a form":  {query, func(r *http.Request) { r.URL.RawQuery = "Param1=a+b" }, "", "not encoded as in RFC 3986"},
		"escapes in lower case":      {query, func(r *http.Request) { r.URL.RawQuery = "Param1=%2f" }, "", "not encoded as in RFC 3986"},
		"needless escapes":           {query, func(r *http.Request) { r.URL.RawQuery = "Param1=%61" }, "", "not encoded as in RFC 3986"},
		"another day":                {vanilla, func(r *http.Request) { r.Header.Set("X-Amz-Date", "20150830T123601Z") }, "", "the signature is"},
		"a header that isn't signed": {vanilla, func(r *http.Request) { r.Header.Set("X-Amz-Target", "a") }, "", "x-amz-target is not signed"},
		"a type that isn't signed":   {vanilla, func(r *http.Request) { r.Header.Set("Content-Type", "a") }, "", "content-type is not signed"},
		"headers out of order": {listUsers, func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "content-type;host", "host;content-type", 1))
		}, "", "are not sorted"},
		"another key": {vanilla, func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "AKIDEXAMPLE", "AKID", 1))
		}, "", "signed for AKID"},
		"two signatures":      {vanilla, func(r *http.Request) { r.Header.Add("Authorization", "a") }, "", "2 headers"},
		"none":                {vanilla, func(r *http.Request) { r.Header.Del("Authorization") }, "", "0 headers"},
		"Tencent's body":      {TencentVector, nil, "{}", "the signature is"},
		"Tencent's type":      {TencentVector, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, "", "the signature is"},
		"Tencent's time":      {TencentVector, func(r *http.Request) { r.Header.Set("X-TC-Timestamp", "1551113066") }, "", "the signature is"},
		"Tencent's query":     {TencentVector, func(r *http.Request) { r.URL.RawQuery = "a=b" }, "", "the signature is"},
		"Aliyun's action":     {AliyunVector, func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "Regions", "Zones", 1) }, "", "the signature is"},
		"Aliyun's method":     {AliyunVector, func(r *http.Request) { r.Method = "POST" }, "", "the signature is"},
		"Aliyun's repetition": {AliyunVector, func(r *http.Request) { r.URL.RawQuery += "&Format=XML" }, "", "comes twice"},
		"Aliyun's body":       {AliyunVector, nil, "a", "not a call in the RPC style"},
		"Taobao's field":      {TaobaoVector, nil, strings.Replace(TaobaoVector.Body, "11223344", "11223345", 1), "the signature is"},
		"Taobao's blank":      {TaobaoVector, nil, TaobaoVector.Body + "&a=", "blank or comes twice"},
		"too late": {Vector{
			Method: "GET", URL: vanilla.URL, Header: vanilla.Header, Authorized: vanilla.Authorized, Signature: vanilla.Signature,
			Checker: AWS{AWSKeyID, AWSSecret, "us-east-1", "service", later(6 * time.Minute)},
		}, nil, "", "6m0s off"},
		"too early": {Vector{
			Method: "GET", URL: vanilla.URL, Header: vanilla.Header, Authorized: vanilla.Authorized, Signature: vanilla.Signature,
			Checker: AWS{AWSKeyID, AWSSecret, "us-east-1", "service", later(-6 * time.Minute)},
		}, nil, "", "-6m0s off"},
		"Tencent, too late": {Vector{
			Method: "POST", URL: TencentVector.URL, Header: TencentVector.Header, Authorized: TencentVector.Authorized, Signature: TencentVector.Signature,
			Checker: Tencent{TencentID, TencentKey, "cvm", time.Now},
		}, nil, "", " off"},
		"Aliyun, too late": {Vector{Method: "GET", URL: AliyunVector.URL, Checker: Aliyun{KeyID: "testid", Secret: "testsecret", Now: time.Now}}, nil, "", " off"},
		"Taobao, too late": {Vector{Method: "POST", URL: TaobaoVector.URL, Checker: Taobao{"12345678", "helloworld", time.Now}}, nil, TaobaoVector.Body, " off"},
	} {
		r, body := tt.Request(), tt.Body
		if tt.body != "" {
			body = tt.body
		}
		if tt.change != nil {
			tt.change(r)
		}
		if err := tt.Checker.Check(r, []byte(body)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// The ROA style has no published request with its signature: this text is put
// together by hand, after the example of the documentation.
func TestROA(t *testing.T) {
	t.Parallel()
	a := Aliyun{KeyID: "testid", Secret: "testsecret", ROA: true, Now: at(http.TimeFormat, "Wed, 16 Dec 2015 11:18:47 GMT")}
	const text = "POST\napplication/json\nmZFLkyvTelC5g8XnyQrpOw==\napplication/json\nWed, 16 Dec 2015 11:18:47 GMT\n" +
		"x-acs-signature-method:HMAC-SHA1\nx-acs-signature-nonce:15215528852396\nx-acs-signature-version:1.0\nx-acs-version:2015-12-15\n" +
		"/stacks?a b=c d&empty&name=test_alert"
	request := func() *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://cs.aliyuncs.com/stacks?name=test_alert&empty=&a%20b=c%20d", nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"Accept": "application/json", "Content-MD5": "mZFLkyvTelC5g8XnyQrpOw==", "Content-Type": "application/json", "Date": "Wed, 16 Dec 2015 11:18:47 GMT",
			"x-acs-signature-method": "HMAC-SHA1", "x-acs-signature-nonce": "15215528852396", "x-acs-signature-version": "1.0", "x-acs-version": "2015-12-15",
			"Authorization": "acs testid:" + a.sign("testsecret", text),
		} {
			r.Header.Set(name, value)
		}
		return r
	}
	if err := a.Check(request(), []byte("{}")); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(r *http.Request){
		"another header":   func(r *http.Request) { r.Header.Set("x-acs-more", "1") },
		"another query":    func(r *http.Request) { r.URL.RawQuery = "name=test" },
		"another sum":      func(r *http.Request) { r.Header.Set("Content-MD5", "a") },
		"an older time":    func(r *http.Request) { r.Header.Set("Date", "Wed, 16 Dec 2015 10:18:47 GMT") },
		"another method":   func(r *http.Request) { r.Method = http.MethodPut },
		"no nonce":         func(r *http.Request) { r.Header.Del("x-acs-signature-nonce") },
		"another key":      func(r *http.Request) { r.Header.Set("Authorization", "acs other:"+a.sign("testsecret", text)) },
		"another encoding": func(r *http.Request) { r.URL.RawQuery = "a+b=c" },
	} {
		r := request()
		change(r)
		if err := a.Check(r, []byte("{}")); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestAlipay(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c := Alipay{"2014072300007148", &key.PublicKey, at(time.RFC3339, "2014-07-24T03:07:50+08:00")}
	params := url.Values{
		"app_id": {"2014072300007148"}, "method": {"alipay.trade.query"}, "charset": {"utf-8"}, "sign_type": {"RSA2"},
		"timestamp": {"2014-07-24 03:07:50"}, "version": {"1.0"}, "biz_content": {`{"out_trade_no":"1 2"}`},
	}
	sum := sha256.Sum256([]byte(`app_id=2014072300007148&biz_content={"out_trade_no":"1 2"}&charset=utf-8&method=alipay.trade.query&sign_type=RSA2&timestamp=2014-07-24 03:07:50&version=1.0`))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	params.Set("sign", base64.StdEncoding.EncodeToString(signature))
	check := func() error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://openapi.alipay.com/gateway.do?charset=utf-8", nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Check(r, []byte(params.Encode()))
	}
	if err := check(); err != nil {
		t.Error(err)
	}
	for name, value := range map[string]string{"biz_content": "{}", "timestamp": "2014-07-24 03:27:50", "sign_type": "RSA", "more": "1", "version": ""} {
		was, had := params[name]
		params.Set(name, value)
		if check() == nil {
			t.Errorf("another %s is taken", name)
		}
		if delete(params, name); had {
			params[name] = was
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	now := time.Now()
	secret := []byte("\xff\x00secret, in any bytes at all....")
	token := func(change func(all map[string]any), header map[jose.HeaderKey]any) string {
		o := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", "id")
		for name, value := range header {
			o = o.WithHeader(name, value)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, o)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]any{"iss": "a", "aud": "/admin/", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": "0123456789abcdef"}
		if change != nil {
			change(all)
		}
		text, err := jwt.Signed(signer).Claims(all).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	g := Ghost{"id:" + "ff007365637265742c20696e20616e7920627974657320617420616c6c2e2e2e2e", func() time.Time { return now }}
	a := Assertion{
		Parameter: "assertion", Form: map[string]string{"grant_type": "g"}, KeyID: "id", Algorithm: jose.HS256, Public: secret,
		Claims: map[string]any{"iss": "a", "aud": "/admin/"}, Most: time.Hour, Now: g.Now,
	}
	for name, tt := range map[string]struct {
		token string
		ok    bool
	}{
		"right":            {token(nil, nil), true},
		"another audience": {token(func(all map[string]any) { all["aud"] = "/" }, nil), false},
		"expired":          {token(func(all map[string]any) { all["exp"] = now.Unix() }, nil), false},
		"too long":         {token(func(all map[string]any) { all["exp"] = now.Add(2 * time.Hour).Unix() }, nil), false},
		"in milliseconds":  {token(func(all map[string]any) { all["iat"] = now.UnixMilli() }, nil), false},
		"without iat":      {token(func(all map[string]any) { delete(all, "iat") }, nil), false},
		"another kid":      {token(nil, map[jose.HeaderKey]any{"kid": "k"}), false},
		"another type":     {token(nil, map[jose.HeaderKey]any{"typ": "at+jwt"}), false},
		"changed":          {token(nil, nil) + "A", false},
		"none":             {"", false},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://a.example/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Ghost "+tt.token)
		if err := g.Check(r, nil); (err == nil) != tt.ok {
			t.Errorf("Ghost, %s: %v", name, err)
		}
		form := url.Values{"grant_type": {"g"}, "assertion": {tt.token}}
		if err := a.Check(r, []byte(form.Encode())); (err == nil) != tt.ok {
			t.Errorf("assertion, %s: %v", name, err)
		}
		form.Set("more", "1")
		if a.Check(r, []byte(form.Encode())) == nil {
			t.Errorf("assertion, %s: another parameter is taken", name)
		}
	}
}
