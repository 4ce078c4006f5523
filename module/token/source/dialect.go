package source

import (
	"cmp"
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Dialects are data: each file is the body of a `token` block, with the settings
// that a source does not have itself.
//
//go:embed dialects/*.caddyfile
var dialectFiles embed.FS

// defaultDialect is the protocol in docs/protocol.md.
const defaultDialect = "signed"

// Dialect is a token protocol: the settings that a source inherits from it.
type Dialect struct {
	Name string
	// Text is the body of a `token` block, comments included. Its requests have no
	// URL.
	Text string
}

// Dialects returns all dialects that are built in, sorted by name.
func Dialects() []Dialect {
	entries, err := dialectFiles.ReadDir("dialects")
	if err != nil {
		panic(err) // part of the binary
	}
	all := make([]Dialect, 0, len(entries))
	for _, entry := range entries {
		text, err := dialectFiles.ReadFile(path.Join("dialects", entry.Name()))
		if err != nil {
			panic(err) // part of the binary
		}
		all = append(all, Dialect{strings.TrimSuffix(entry.Name(), ".caddyfile"), string(text)})
	}
	return all
}

// dialect returns the settings of a dialect.
func dialect(name string) (*Source, error) {
	name = cmp.Or(name, defaultDialect)
	var names []string
	for _, d := range Dialects() {
		if d.Name == name {
			return d.parse()
		}
		names = append(names, d.Name)
	}
	return nil, fmt.Errorf("there is no dialect %q; there are %s", name, strings.Join(names, ", "))
}

func (dialect Dialect) parse() (*Source, error) {
	tokens, err := caddyfile.Tokenize([]byte("token {\n"+dialect.Text+"\n}"), "dialect "+dialect.Name)
	if err != nil {
		return nil, err
	}
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	s := new(Source)
	p := newParser(d, "dialect "+dialect.Name, s)
	p.dialect = true
	return s, p.read()
}

// over returns the settings of s, and where they are missing those of the
// dialect. Neither is changed.
func (s *Source) over(dialect *Source) *Source {
	m := *s
	m.Define = dialect.Define + s.Define
	m.Optional = slices.Concat(dialect.Optional, s.Optional)
	if s.Authorize != nil && dialect.Authorize != nil { // a dialect's has no URL to go to
		m.Authorize = s.Authorize.over(dialect.Authorize)
	}
	m.Obtain = s.Obtain.over(dialect.Obtain)
	m.Refresh = s.Refresh.over(dialect.Refresh)
	m.Success = cmp.Or(s.Success, dialect.Success)
	m.AccessToken = cmp.Or(s.AccessToken, dialect.AccessToken)
	m.RefreshToken = cmp.Or(s.RefreshToken, dialect.RefreshToken)
	if s.ExpiresIn == "" {
		m.ExpiresIn = dialect.ExpiresIn
		m.ExpiresInUnit = cmp.Or(s.ExpiresInUnit, dialect.ExpiresInUnit)
	}
	if s.Timestamp == "" {
		m.Timestamp, m.TimestampZone = dialect.Timestamp, cmp.Or(s.TimestampZone, dialect.TimestampZone)
	}
	m.Lifetime = cmp.Or(s.Lifetime, dialect.Lifetime)
	if s.RefreshBefore == 0 && s.RefreshFraction == 0 {
		m.RefreshBefore, m.RefreshFraction = dialect.RefreshBefore, dialect.RefreshFraction
	}
	m.MustDiffer = cmp.Or(s.MustDiffer, dialect.MustDiffer)
	m.Inject = cmp.Or(s.Inject, dialect.Inject)
	m.TokenExpired = cmp.Or(s.TokenExpired, dialect.TokenExpired)
	m.AnswerSuccess = cmp.Or(s.AnswerSuccess, dialect.AnswerSuccess)
	m.Keep = cmp.Or(s.Keep, dialect.Keep)
	m.RetryRefused = cmp.Or(s.RetryRefused, dialect.RetryRefused)
	m.Timeout = cmp.Or(s.Timeout, dialect.Timeout)
	m.Warm = cmp.Or(s.Warm, dialect.Warm)
	return &m
}
