package source

import (
	"bytes"
	"cmp"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// resolve replaces the placeholders in everything that may hold them, once.
func (s *Source) resolve() error {
	repl := caddy.NewReplacer()
	s.values = make(map[string]string, len(s.CredentialValues))
	for _, name := range slices.Sorted(maps.Keys(s.CredentialValues)) {
		value, err := token.Resolve(repl, s.CredentialValues[name])
		if err != nil {
			return wrong("credential "+name, err)
		}
		s.values[name] = value
	}
	var err error
	if s.NeedsConsent() {
		if err = s.resolveConsent(repl); err != nil {
			return err
		}
	}
	if s.obtainURL, err = s.Obtain.resolve(repl); err != nil {
		return wrong("obtain", err)
	}
	if s.refreshURL, err = s.Refresh.resolve(repl); err != nil {
		return wrong("refresh", err)
	}
	if s.Static == "" {
		return nil
	}
	if s.token, err = token.Resolve(repl, s.Static); err != nil {
		return wrong("static", err)
	}
	return wrong("static", checkToken(s.token))
}

func (r *Request) resolve(repl *caddy.Replacer) (*url.URL, error) {
	if r == nil {
		return nil, nil
	}
	raw, err := token.Resolve(repl, r.URL)
	if err != nil {
		return nil, err
	}
	return parseURL(raw)
}

// Policy returns what the keeper needs to know of a provisioned source.
func (s *Source) Policy() token.Policy {
	p := s.plan
	return token.Policy{
		Name:            s.name,
		Lifetime:        time.Duration(p.Lifetime),
		RefreshBefore:   time.Duration(p.RefreshBefore),
		RefreshFraction: p.RefreshFraction,
		MustDiffer:      p.MustDiffer != nil && *p.MustDiffer,
		Warm:            s.IsWarm(),
		RetryRefused:    cmp.Or(time.Duration(p.RetryRefused), refusedPause),
		Timeout:         cmp.Or(time.Duration(p.Timeout), callTimeout),
		Identity:        s.identity,
		SealKey:         s.sealKey,
		Seed:            s.values[seedName],
		Consent:         s.NeedsConsent(),
		Issuer:          s.issuer,
		Static:          s.token,
	}
}

// identify digests what determines the token. Settings that only say when to
// renew or how to connect are not in it, so that changing them keeps the token.
//
// A consent is one person's, so a source of another name has another one. It outlives
// new programs, addresses and secrets: nobody wants to consent again for those.
func (s *Source) identify() string {
	p := s.plan
	of := []any{
		"switchboard token 1",
		p.Obtain, text(s.obtainURL), p.Refresh, text(s.refreshURL),
		s.values, s.token, p.Define,
		p.Success, p.AccessToken, p.RefreshToken, p.Timestamp, p.TimestampZone, p.Keep,
	}
	if s.NeedsConsent() {
		of = []any{"switchboard consent 1", s.name, text(s.authorizeURL), s.values[clientID]}
	}
	text, err := json.Marshal(of)
	if err != nil {
		panic(err) // strings only
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func text(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.String()
}

// deriveSealKey derives the key that seals the keeper's records. It depends on the
// credentials alone: whoever has them could sign in anyway. With a seal_key a consent
// depends on that alone, so that it outlives a new client secret.
func (s *Source) deriveSealKey() (key [32]byte, err error) {
	from := s.values
	if own, ok := s.values[sealKey]; ok && s.NeedsConsent() {
		from = map[string]string{sealKey: own}
	}
	secret, err := json.Marshal(from)
	if err != nil {
		return key, err
	}
	derived, err := hkdf.Key(sha256.New, secret, nil, "switchboard token seal 1", len(key))
	if err != nil {
		return key, fmt.Errorf("deriving the seal key: %w", err)
	}
	copy(key[:], derived)
	return key, nil
}

// Warnings returns what is legal in a provisioned source and still likely to hurt.
// None holds a secret.
func (s *Source) Warnings() []string {
	p := s.plan
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.CredentialValues)) {
		if isSecret(name) && !strings.Contains(s.CredentialValues[name], "{") {
			all = append(all, "credential "+name+" is a secret in clear in the configuration; write {env.NAME} or {file./path}")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.values)) {
		if value := s.values[name]; !strings.HasPrefix(strings.TrimLeftFunc(value, invisible), "-----BEGIN ") && strings.TrimFunc(value, invisible) != value {
			all = append(all, "credential "+name+" begins or ends with a blank, a line break, a byte order mark or the like, and is used so; "+
				"if that is not meant, take it out of the file or variable")
		}
	}
	if s.Static != "" && !strings.Contains(s.Static, "{") {
		all = append(all, "static is a secret in clear in the configuration; write {env.NAME} or {file./path}")
	}
	if s.HasToken() {
		all = append(all, injectionWarnings(p.injection)...)
	}
	if !p.hasEndpoint {
		return all
	}
	if p.Lifetime == 0 && s.ExpiresIn == "" {
		all = append(all, "neither lifetime nor expires_in is written: where the answer states no lifetime, 2h is assumed")
	}
	for _, u := range []*url.URL{s.obtainURL, s.refreshURL} {
		if u != nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
			all = append(all, "the credentials travel in clear to "+u.Hostname()+"; write https")
			break
		}
	}
	// loading the transport has emptied TransportRaw, the merged copy still has it
	if bytes.Contains(p.TransportRaw, []byte(`"insecure_skip_verify":true`)) {
		all = append(all, "transport does not verify the token endpoint's certificate; write tls_trust_pool instead of tls_insecure_skip_verify")
	}
	return all
}

// Unused returns a warning for credentials that no program uses, neither of the source
// nor of the APIs that name it: they are probably misspelled. It is "" where there are
// none, and where a source that only holds credentials has no API.
func (s *Source) Unused(apis []*jq.Program) string {
	p := s.plan
	if !p.hasEndpoint && len(apis) == 0 {
		return ""
	}
	programs := slices.Concat(apis, p.obtainCall.all(), p.refreshCall.all())
	if p.authorizeQuery != nil {
		programs = append(programs, p.authorizeQuery)
	}
	fixed := []string(nil) // used without a program
	if s.NeedsConsent() {
		fixed = []string{clientID, sealKey}
	}
	var unused, used []string
	for _, name := range p.names {
		_, given := s.CredentialValues[name]
		switch {
		case slices.ContainsFunc(programs, func(program *jq.Program) bool { return program.Uses(name) }):
			used = append(used, name)
		case given && !slices.Contains(fixed, name):
			unused = append(unused, name)
		}
	}
	if len(unused) == 0 {
		return ""
	}
	text := "no program uses credential " + strings.Join(unused, ", ")
	if len(used) > 0 {
		text += "; the names in use are " + strings.Join(used, ", ")
	}
	return text
}

// invisible reports whether a character can't be seen at the end of a text.
func invisible(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}

// isSecret guesses from a credential's name whether its value is one. An app key
// or a client id is not.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, "key") && !strings.HasPrefix(name, "app") ||
		slices.ContainsFunc([]string{"secret", "passw", "pwd", "private", "token"}, func(part string) bool { return strings.Contains(name, part) })
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
