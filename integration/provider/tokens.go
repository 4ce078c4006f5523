package provider

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ExpiresIn is a way to state a lifetime in a token answer. All of these were
// seen in the field.
type ExpiresIn string

// The ways to state a lifetime.
const (
	ExpiresAbsent ExpiresIn = "absent" // no such field
	ExpiresNumber ExpiresIn = "number" // 7200
	ExpiresString ExpiresIn = "string" // "7200"
	ExpiresFloat  ExpiresIn = "float"  // 7200.0
	ExpiresMillis ExpiresIn = "ms"     // 7200000
	ExpiresAt     ExpiresIn = "at"     // seconds since 1970
)

// ExpiresForms are all of them.
var ExpiresForms = []ExpiresIn{ExpiresAbsent, ExpiresNumber, ExpiresString, ExpiresFloat, ExpiresMillis, ExpiresAt}

// Why an access token is no longer good; the ledger's TokenState.
const (
	stateLive     = "live"
	stateUnknown  = "unknown"    // never issued here
	endExpired    = "expired"    // its time has come
	endSuperseded = "superseded" // a refresh or an exclusive sign-in replaced it
	endRevoked    = "revoked"    // it died early
)

// seedFamily is the family of those who descend from Options.Seed.
const seedFamily = -1

// maxPairs bounds the vault; the oldest pairs are forgotten.
const maxPairs = 10_000

// pair is an access token and the refresh token that came with it.
type pair struct {
	access, refresh string
	generation      int
	family          int       // the generation of the sign-in that it descends from
	expires         time.Time // of the access token
	end             string    // what to call its death
	byCode          bool      // tell its death by a code inside HTTP 200
	spent           bool      // the refresh token was used, or revoked
}

// vault holds every token pair that was issued.
type vault struct {
	opt Options

	mu         sync.Mutex
	lifetime   time.Duration
	generation int
	order      []*pair // by generation
	access     map[string]*pair
	refresh    map[string]*pair
}

func newVault(o Options) *vault {
	v := &vault{opt: o, lifetime: o.Lifetime, access: map[string]*pair{}, refresh: map[string]*pair{}}
	if o.Seed != "" {
		v.refresh[o.Seed] = &pair{refresh: o.Seed, family: seedFamily}
	}
	return v
}

// sameToken asks for the pair that is already out, instead of a new one.
type sameToken struct{ extend bool }

// obtain signs in: a new pair, unless same asks for the one before.
func (v *vault) obtain(now time.Time, same *sameToken) pair {
	v.mu.Lock()
	defer v.mu.Unlock()
	if same != nil && len(v.order) > 0 {
		return v.again(v.order[len(v.order)-1], now, *same)
	}
	if v.opt.Exclusive {
		v.killLocked(now, endSuperseded, v.opt.DeadTokenCode)
	}
	return *v.issue(now, 0, "")
}

// renew exchanges a refresh token for a new pair. The outcome is "ok",
// "unknown_refresh_token" or "reused_refresh_token".
func (v *vault) renew(token string, now time.Time, same *sameToken) (pair, string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	old := v.refresh[token]
	switch {
	case old == nil:
		return pair{}, "unknown_refresh_token"
	case old.spent:
		if v.opt.RevokeFamily {
			v.revokeFamily(old.family, now)
		}
		return pair{}, "reused_refresh_token"
	case same != nil && old.access != "":
		return v.again(old, now, *same), outcomeOK
	}

	if dead := now.Add(v.opt.Overlap); old.access != "" && dead.Before(old.expires) {
		old.expires, old.end = dead, endSuperseded
	}
	if v.opt.ReusableRefresh {
		return *v.issue(now, old.family, token), outcomeOK
	}
	old.spent = true
	return *v.issue(now, old.family, ""), outcomeOK
}

// issue makes a pair; family 0 starts a new one. It needs mu.
func (v *vault) issue(now time.Time, family int, refresh string) *pair {
	v.generation++
	p := &pair{
		access:     fmt.Sprintf("at-%d-%s", v.generation, random()),
		refresh:    refresh,
		generation: v.generation,
		family:     family,
		expires:    now.Add(v.lifetime),
		end:        endExpired,
		byCode:     v.opt.DeadTokenCode,
	}
	if pad := v.opt.TokenLength - len(p.access); pad > 0 {
		p.access += strings.Repeat("x", pad)
	}
	if p.family == 0 {
		p.family = p.generation
	}
	if p.refresh == "" {
		p.refresh = fmt.Sprintf("rt-%d-%s", v.generation, random())
	}
	v.access[p.access], v.refresh[p.refresh] = p, p
	if v.order = append(v.order, p); len(v.order) > maxPairs {
		first := v.order[0]
		v.order = v.order[1:]
		delete(v.access, first.access)
		if v.refresh[first.refresh] == first {
			delete(v.refresh, first.refresh)
		}
	}
	return p
}

// again answers with a pair that is already out. It needs mu.
func (v *vault) again(p *pair, now time.Time, same sameToken) pair {
	if same.extend {
		p.expires, p.end = now.Add(v.lifetime), endExpired
	}
	return *p
}

func (v *vault) revokeFamily(family int, now time.Time) {
	for _, p := range v.order {
		if p.family != family {
			continue
		}
		p.spent = true
		if now.Before(p.expires) {
			p.expires, p.end = now, endRevoked
		}
	}
}

// kill lets all access tokens that are alive at the given time die then.
func (v *vault) kill(at time.Time, end string, byCode bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.killLocked(at, end, byCode)
}

func (v *vault) killLocked(at time.Time, end string, byCode bool) {
	for _, p := range v.order {
		if at.Before(p.expires) {
			p.expires, p.end, p.byCode = at, end, byCode
		}
	}
}

// state tells how an access token stands, its generation (0 if unknown), and
// whether its death is told by a code.
func (v *vault) state(access string, now time.Time) (state string, generation int, byCode bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.access[access]
	switch {
	case p == nil:
		return stateUnknown, 0, v.opt.DeadTokenCode
	case now.Before(p.expires):
		return stateLive, p.generation, false
	}
	return p.end, p.generation, p.byCode
}

func (v *vault) setLifetime(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.lifetime = d
}

// expiresIn writes what is left of a token's lifetime; nil for no field at all.
func expiresIn(form ExpiresIn, expires, now time.Time) json.RawMessage {
	left := expires.Sub(now)
	seconds := strconv.FormatInt(int64(left/time.Second), 10)
	switch form {
	case ExpiresNumber:
		return json.RawMessage(seconds)
	case ExpiresString:
		return json.RawMessage(`"` + seconds + `"`)
	case ExpiresFloat:
		return json.RawMessage(strconv.FormatFloat(left.Seconds(), 'f', 1, 64))
	case ExpiresMillis:
		return json.RawMessage(strconv.FormatInt(left.Milliseconds(), 10))
	case ExpiresAt:
		return json.RawMessage(strconv.FormatInt(expires.Unix(), 10))
	default:
		return nil
	}
}

func random() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
