package signatures

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// AWS is Signature Version 4 in the header Authorization, of all services but S3.
type AWS struct {
	KeyID, Secret, Region, Service string
	Now                            func() time.Time
}

var awsHeader = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/, ]+)/(\d{8})/([^/, ]+)/([^/, ]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$`)

// Check implements Checker.
func (a AWS) Check(r *http.Request, body []byte) error {
	given, err := header(r, "Authorization")
	if err != nil {
		return err
	}
	m := awsHeader.FindStringSubmatch(given)
	if m == nil {
		return fmt.Errorf("it is authorized by %q", given)
	}
	id, day, region, service, signed, signature := m[1], m[2], m[3], m[4], m[5], m[6]
	if id != a.KeyID || region != a.Region || service != a.Service {
		return fmt.Errorf("signed for %s, %s, %s", id, region, service)
	}
	date, err := header(r, "X-Amz-Date")
	if err != nil {
		return err
	}
	at, err := time.Parse("20060102T150405Z", date)
	if err != nil {
		return err
	}
	if err := within(a.Now(), at, 5*time.Minute); err != nil {
		return err
	}
	if day != date[:8] {
		return fmt.Errorf("the scope is of %s, the time is %s", day, date)
	}
	required := []string{"host"}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") || name == "content-type" {
			required = append(required, name)
		}
	}
	var path strings.Builder // encoded once more than it was sent
	for i, segment := range strings.Split(r.URL.EscapedPath(), "/") {
		if i > 0 {
			path.WriteByte('/')
		}
		path.WriteString(encode(segment))
	}
	request, err := canonicalRequest(r, body, path.String(), signed, func(s string) string { return s }, required...)
	if err != nil {
		return err
	}
	scope := day + "/" + region + "/" + service + "/aws4_request"
	text := "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + sha256Hex([]byte(request))
	key := []byte("AWS4" + a.Secret)
	for _, part := range []string{day, region, service, "aws4_request"} {
		key = hmac256(key, part)
	}
	return same(signature, hex.EncodeToString(hmac256(key, text)), request)
}

// Tencent is TC3-HMAC-SHA256.
type Tencent struct {
	ID, Key, Service string
	Now              func() time.Time
}

var tc3Header = regexp.MustCompile(`^TC3-HMAC-SHA256 Credential=([^/, ]+)/(\d{4}-\d\d-\d\d)/([^/, ]+)/tc3_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$`)

// Check implements Checker.
func (c Tencent) Check(r *http.Request, body []byte) error {
	given, err := header(r, "Authorization")
	if err != nil {
		return err
	}
	m := tc3Header.FindStringSubmatch(given)
	if m == nil {
		return fmt.Errorf("it is authorized by %q", given)
	}
	id, day, service, signed, signature := m[1], m[2], m[3], m[4], m[5]
	if id != c.ID || service != c.Service || !strings.HasPrefix(r.Host, service+".") {
		return fmt.Errorf("signed for %s, %s", id, service)
	}
	for _, name := range []string{"X-TC-Action", "X-TC-Version"} {
		if _, err := header(r, name); err != nil {
			return err
		}
	}
	stamp, err := header(r, "X-TC-Timestamp")
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return err
	}
	at := time.Unix(seconds, 0).UTC()
	if err := within(c.Now(), at, 5*time.Minute); err != nil {
		return err
	}
	if day != at.Format(time.DateOnly) {
		return fmt.Errorf("the scope is of %s, the time is %s", day, at)
	}
	if r.URL.EscapedPath() != "/" {
		return fmt.Errorf("the path is %s", r.URL.EscapedPath())
	}
	request, err := canonicalRequest(r, body, "/", signed, strings.ToLower, "content-type", "host")
	if err != nil {
		return err
	}
	scope := day + "/" + service + "/tc3_request"
	text := "TC3-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + sha256Hex([]byte(request))
	key := []byte("TC3" + c.Key)
	for _, part := range []string{day, service, "tc3_request"} {
		key = hmac256(key, part)
	}
	return same(signature, hex.EncodeToString(hmac256(key, text)), request)
}
