package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
)

const (
	cookieName  = "switchboard_console"
	sessionTime = 12 * time.Hour
)

// sessions replace the key of `auth key`, which a browser can't send by following
// a link. A session is its expiry time, signed with a secret derived from the
// key. It ends when the key is removed, and no state is stored for it. A nil
// *sessions has none.
type sessions struct{ secrets [][]byte }

func newSessions(g *endpoint.Gate) *sessions {
	if g.KeyHeader() == "" {
		return nil
	}
	return &sessions{g.Derive("switchboard console")}
}

func (s *sessions) sign(secret []byte, end string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(end))
	return end + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// of returns whose session a request has.
func (s *sessions) of(r *http.Request) (who string, ok bool) {
	if s == nil {
		return "", false
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return "", false
	}
	end, _, _ := strings.Cut(cookie.Value, ".")
	for i, secret := range s.secrets {
		if hmac.Equal([]byte(cookie.Value), []byte(s.sign(secret, end))) {
			who, ok = "key "+strconv.Itoa(i+1), true
		}
	}
	unix, err := strconv.ParseInt(end, 10, 64)
	if !ok || err != nil || time.Now().Unix() >= unix {
		return "", false
	}
	return who, true
}

// signIn begins a session for whoever sends the key.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) error {
	body, err := read(w, r)
	if err != nil {
		return refusal(w, err)
	}
	given, err := parse[struct{ Key string }](body)
	if err != nil {
		return refusal(w, err)
	}
	asked := r.Clone(r.Context())
	asked.Header.Set(c.gate.KeyHeader(), given.Key)
	who, ok := c.gate.Admits(asked, r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer))
	if !ok {
		c.logger.Warn("console sign-in refused")
		return fail(w, http.StatusUnauthorized, "wrong key")
	}
	number, _ := strconv.Atoi(strings.TrimPrefix(who, "key "))
	end := strconv.FormatInt(time.Now().Add(sessionTime).Unix(), 10)
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // without TLS, on loopback, a Secure one would never come back
		Name: cookieName, Value: c.sessions.sign(c.sessions.secrets[number-1], end),
		Path: strings.TrimSuffix(originalPath(r), "data/signin"), MaxAge: int(sessionTime.Seconds()),
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
	})
	return answer(w, struct{}{})
}
