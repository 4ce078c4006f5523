// Package signatures checks requests as the APIs do that want each request signed,
// by what they have published. It is strict: what an API may let pass, such as another
// order or encoding, is refused. It shares no code with what makes the signatures.
package signatures

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Checker refuses a request that isn't signed as it should be.
type Checker interface {
	Check(r *http.Request, body []byte) error
}

// Server is an API with a checker for each host. It can be used as an HTTP proxy, so that
// requests keep the host that they are signed for.
type Server struct {
	mu       sync.Mutex
	hosts    map[string]Host
	accepted int
	refused  []error
}

// Host is one API of a server: its checker, and the answer to a request that is signed
// well.
type Host struct {
	Checker
	Answer string
}

// Set adds a host, or replaces it.
func (s *Server) Set(name string, host Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hosts == nil {
		s.hosts = make(map[string]Host)
	}
	s.hosts[name] = host
}

// ServeHTTP answers a request that is signed well, and refuses others with 403.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	host, ok := s.hosts[r.Host]
	if !ok && err == nil {
		err = fmt.Errorf("there is no host %q", r.Host)
	}
	if err == nil {
		err = host.Check(r, body)
	}
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		s.refused = append(s.refused, err)
		w.WriteHeader(http.StatusForbidden)
		return
	}
	s.accepted++
	_, _ = io.WriteString(w, host.Answer) // the caller may be gone
}

// Result returns how many requests were accepted, and why others were refused.
func (s *Server) Result() (accepted int, refused error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted, errors.Join(s.refused...)
}

// within refuses a time that is further away than a bound.
func within(now, then time.Time, bound time.Duration) error {
	if d := now.Sub(then); d > bound || d < -bound {
		return fmt.Errorf("the time %s is %s off", then.UTC().Format(time.RFC3339), d)
	}
	return nil
}

// encode is the percent-encoding of RFC 3986: all but unreserved characters, in
// upper-case hex.
func encode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// decode reverses encode. What encode would have written otherwise is an error.
func decode(s string) (string, error) {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("%q ends within an escape", s)
		}
		c, err := hex.DecodeString(s[i+1 : i+3])
		if err != nil {
			return "", fmt.Errorf("%q has a broken escape", s)
		}
		b = append(b, c...)
		i += 2
	}
	if encode(string(b)) != s {
		return "", fmt.Errorf("%q is not encoded as in RFC 3986: %q", s, encode(string(b)))
	}
	return string(b), nil
}

type pair struct{ name, value string }

// pairs decodes a query or a form with encode's escapes, in its order.
func pairs(raw string) (list []pair, err error) {
	if raw == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(raw, "&") {
		name, value, ok := strings.Cut(part, "=")
		var p pair
		if p.name, err = decode(name); err == nil {
			p.value, err = decode(value)
		}
		if err != nil || !ok {
			return nil, errors.Join(fmt.Errorf("%q is not a pair", part), err)
		}
		list = append(list, p)
	}
	return list, nil
}

// canonical encodes pairs and sorts them by the encoded name, then value.
func canonical(list []pair) string {
	encoded := make([]pair, len(list))
	for i, p := range list {
		encoded[i] = pair{encode(p.name), encode(p.value)}
	}
	slices.SortFunc(encoded, func(a, b pair) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	parts := make([]string, len(encoded))
	for i, p := range encoded {
		parts[i] = p.name + "=" + p.value
	}
	return strings.Join(parts, "&")
}

// header returns a field that must be there once.
func header(r *http.Request, name string) (string, error) {
	if strings.EqualFold(name, "Host") {
		return r.Host, nil
	}
	values := r.Header.Values(name)
	if len(values) != 1 {
		return "", fmt.Errorf("%d headers %s", len(values), name)
	}
	return values[0], nil
}

func sha256Hex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func hmac256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// same compares a signature with the right one; the error says what was signed.
func same(got, want, text string) error {
	if subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
		return fmt.Errorf("the signature is %s, want %s of %q", got, want, text)
	}
	return nil
}

// canonicalRequest is what SigV4 and TC3 sign a digest of. fix changes the value of a
// header as it is signed.
func canonicalRequest(r *http.Request, body []byte, path, signed string, fix func(string) string, required ...string) (string, error) {
	names := strings.Split(signed, ";")
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		return "", fmt.Errorf("signed headers %q are not sorted, each once", signed)
	}
	for _, name := range required {
		if !slices.Contains(names, name) {
			return "", fmt.Errorf("%s is not signed, but %q", name, signed)
		}
	}
	query, err := pairs(r.URL.RawQuery)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, path, canonical(query))
	for _, name := range names {
		value, err := header(r, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s:%s\n", name, fix(strings.Join(strings.Fields(value), " ")))
	}
	fmt.Fprintf(&b, "\n%s\n%s", signed, sha256Hex(body))
	return b.String(), nil
}
