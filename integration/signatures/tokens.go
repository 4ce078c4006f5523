package signatures

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// claims verifies a token and that it holds, now and for at most a time.
func claims(token, kid string, algorithm jose.SignatureAlgorithm, key any, now time.Time, most time.Duration) (map[string]any, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return nil, err
	}
	if got := parsed.Headers[0]; got.KeyID != kid || got.ExtraHeaders[jose.HeaderType] != "JWT" {
		return nil, fmt.Errorf("the header is %v", got)
	}
	var all map[string]any
	var times jwt.Claims
	if err := parsed.Claims(key, &all, &times); err != nil {
		return nil, err
	}
	if times.IssuedAt == nil || times.Expiry == nil {
		return nil, errors.New("iat or exp is missing")
	}
	begin, end := times.IssuedAt.Time(), times.Expiry.Time()
	if begin.After(now.Add(time.Second)) || !end.After(now) || end.Sub(begin) > most {
		return nil, fmt.Errorf("it holds from %s to %s", begin, end)
	}
	return all, nil
}

// Ghost is the token of Ghost's Admin API.
type Ghost struct {
	Key string // id:secret, the secret in hex
	Now func() time.Time
}

// Check implements Checker.
func (g Ghost) Check(r *http.Request, _ []byte) error {
	id, secret, _ := strings.Cut(g.Key, ":")
	key, err := hex.DecodeString(secret)
	if err != nil {
		return err
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Ghost ")
	if !ok {
		return fmt.Errorf("it is authorized by %q", r.Header.Get("Authorization"))
	}
	all, err := claims(token, id, jose.HS256, key, g.Now(), 5*time.Minute)
	if err != nil {
		return err
	}
	if all["aud"] != "/admin/" {
		return fmt.Errorf("aud is %v", all["aud"])
	}
	return nil
}

// Assertion is a token endpoint that takes a signed assertion: Google's for service
// accounts, or one for private_key_jwt. It gives the token "t".
type Assertion struct {
	Parameter string            // with the assertion
	Form      map[string]string // the other parameters
	KeyID     string
	Algorithm jose.SignatureAlgorithm
	Public    any
	Claims    map[string]any // beside iat, exp and jti
	Most      time.Duration  // from iat to exp
	Now       func() time.Time
}

// Check implements Checker.
func (a Assertion) Check(r *http.Request, body []byte) error {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return err
	}
	if r.Method != http.MethodPost || r.URL.RawQuery != "" || len(form) != len(a.Form)+1 || len(form[a.Parameter]) != 1 {
		return fmt.Errorf("%s with %v and %q", r.Method, form, r.URL.RawQuery)
	}
	for name, want := range a.Form {
		if got := form[name]; len(got) != 1 || got[0] != want {
			return fmt.Errorf("%s is %q", name, got)
		}
	}
	all, err := claims(form.Get(a.Parameter), a.KeyID, a.Algorithm, a.Public, a.Now(), a.Most)
	if err != nil {
		return err
	}
	if jti, ok := all["jti"].(string); !ok || len(jti) < 16 {
		return fmt.Errorf("jti is %v", all["jti"])
	}
	if len(all) != len(a.Claims)+3 {
		return fmt.Errorf("the claims are %v", all)
	}
	for name, want := range a.Claims {
		if all[name] != want {
			return fmt.Errorf("%s is %v", name, all[name])
		}
	}
	return nil
}

// Bearer takes one token.
type Bearer string

// Check implements Checker.
func (b Bearer) Check(r *http.Request, _ []byte) error {
	if got := r.Header.Get("Authorization"); got != "Bearer "+string(b) {
		return fmt.Errorf("it is authorized by %q", got)
	}
	return nil
}
