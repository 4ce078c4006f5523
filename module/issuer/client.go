package issuer

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // the protocol's signature
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// Client may sign in. Both fields may hold the placeholders
// `{env.*}` and `{file.*}`, which are resolved once, when the configuration is
// loaded.
type Client struct {
	// The client's app_key: up to 64 letters, digits, `-` and `_`.
	Key string `json:"key,omitempty"`

	// The client's app_secret.
	Secret string `json:"secret,omitempty"`
}

const (
	// maxSecrets of one client: the new one and the old one.
	maxSecrets = 2
	// shortSecret is below 128 bits even if it is random hex. Whoever sees one
	// sign-in can try out short secrets at leisure.
	shortSecret = 16
	// dummySecret is that of the client that stands in for unknown ones. It opens nothing.
	dummySecret = "nobody's secret, as long as most"
)

// appKey is what a key consists of. With a fixed charset, and a timestamp of 10
// or 13 digits, what is signed has one reading only.
var appKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// clientID names a client inside a token.
type clientID [8]byte

// client is a Client at work.
type client struct {
	key     string
	id      clientID
	secrets []*secret
}

// secret is one app_secret and the key of the tokens that are given for it.
// With the secret, all tokens that were obtained with it go.
type secret struct {
	value string
	macs  sync.Pool // of *macer
}

// macer is a keyed hash with room for what goes in and out of it, so that a
// check allocates nothing.
type macer struct {
	hash.Hash
	in  [atCode]byte
	out [sha256.Size]byte
}

// clients are all of an issuer's, by what requests name them.
type clients struct {
	byKey map[string]*client
	byID  map[clientID]*client
	dummy *client // stands in for who is unknown

	// equal is hmac.Equal. Tests see by it what is compared.
	equal func(a, b []byte) bool
}

func newClients(issuer string, configured []Client, repl *caddy.Replacer, logger *zap.Logger) (clients, error) {
	all := clients{byKey: make(map[string]*client), byID: make(map[clientID]*client), equal: hmac.Equal}
	if len(configured) == 0 {
		return all, errors.New("no client; write `client KEY SECRET`")
	}
	for n, c := range configured {
		key, err := resolve(repl, c.Key)
		if err != nil {
			return all, fmt.Errorf("client %d: key: %w", n+1, err)
		}
		if !appKey.MatchString(key) {
			return all, fmt.Errorf("client %d: a key is 1 to 64 letters, digits, `-` and `_`", n+1)
		}
		value, err := resolve(repl, c.Secret)
		if err != nil {
			return all, fmt.Errorf("client %d: secret: %w", n+1, err)
		}
		if err := all.add(issuer, key, value); err != nil {
			return all, fmt.Errorf("client %d: %w", n+1, err)
		}
		if len(value) < shortSecret {
			logger.Warn("a client's secret has less than 16 characters; it can be guessed from one sign-in", zap.String("client", key))
		}
		if !strings.Contains(c.Secret, "{") {
			logger.Warn("a client's secret stands in the configuration; use {env.*} or {file.*}", zap.String("client", key))
		}
	}
	stranger, err := newSecret(issuer, "", dummySecret)
	if err != nil {
		return all, err
	}
	all.dummy = &client{secrets: []*secret{stranger}}
	return all, nil
}

func (all *clients) add(issuer, key, value string) error {
	s, err := newSecret(issuer, key, value)
	if err != nil {
		return err
	}
	c := all.byKey[key]
	if c == nil {
		c = &client{key: key, id: newClientID(issuer, key)}
		all.byKey[key], all.byID[c.id] = c, c
	}
	switch {
	case slices.ContainsFunc(c.secrets, func(old *secret) bool { return old.value == value }):
		return errors.New("the same key with the same secret stands above; a second line is for another secret")
	case len(c.secrets) == maxSecrets:
		return errors.New("a third secret for the same key; remove the one that is no longer used")
	}
	c.secrets = append(c.secrets, s)
	return nil
}

func newClientID(issuer, key string) (id clientID) {
	sum := sha256.Sum256([]byte("switchboard issuer client\x00" + issuer + "\x00" + key))
	copy(id[:], sum[:])
	return id
}

func newSecret(issuer, key, value string) (*secret, error) {
	macKey, err := hkdf.Key(sha256.New, []byte(value), nil, "switchboard issuer token\x00"+issuer+"\x00"+key, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of tokens: %w", err)
	}
	s := &secret{value: value}
	s.macs.New = func() any { return &macer{Hash: hmac.New(sha256.New, macKey)} }
	return s, nil
}

// mac is the code that makes a token ours.
func (s *secret) mac(body []byte) [sha256.Size]byte {
	m := s.macs.Get().(*macer)
	defer s.macs.Put(m)
	copy(m.in[:], body)
	m.Reset()
	_, _ = m.Write(m.in[:])
	m.Sum(m.out[:0])
	return m.out
}

// secretOf returns the secret with whose key a token was made; nil for none.
func (c *client) secretOf(t *issued) *secret {
	body := t.body()
	for _, s := range c.secrets {
		if code := s.mac(body); hmac.Equal(code[:], t.code()) {
			return s
		}
	}
	return nil
}

// resolve replaces the placeholders of a value, which must not be empty.
func resolve(repl *caddy.Replacer, value string) (string, error) {
	resolved, err := token.Resolve(repl, value)
	if err == nil && resolved == "" {
		err = errors.New("it is empty")
	}
	return resolved, err
}

// verifySign returns whose sign-in it is, and with which secret it is signed: nil for
// no client of that key, nil for none of its secrets.
//
// What it does is the same for every request, so that timing reveals nothing: a
// key that nobody has is compared with the dummy's secret, a client with one
// secret twice, and a sign of another form than 32 digits as one that is wrong.
func (all *clients) verifySign(key, timestamp, sign string) (c *client, with *secret) {
	c, known := all.byKey[key]
	if !known {
		c = all.dummy
	}
	got, formed := parseSign(sign)
	for n := range maxSecrets {
		s := c.secrets[n%len(c.secrets)]
		want := md5.Sum([]byte(key + timestamp + s.value)) //nolint:gosec // the protocol's signature
		if all.equal(got[:], want[:]) && formed {
			with = s
		}
	}
	if !known {
		return nil, nil
	}
	return c, with
}

// parseSign decodes a sign, which has one spelling: 32 digits of lower-case hex.
// The digest has its length whatever came.
func parseSign(sign string) (digest [md5.Size]byte, ok bool) {
	if len(sign) != hex.EncodedLen(len(digest)) {
		return digest, false
	}
	_, err := hex.Decode(digest[:], []byte(sign))
	return digest, err == nil && hex.EncodeToString(digest[:]) == sign
}
