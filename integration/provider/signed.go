package provider

import (
	"crypto/md5"
	"encoding/hex"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// timestampWindow is how far a signature's time may be from the server's.
const timestampWindow = 300 * time.Second

// signIn is POST /token/get: {app_key, timestamp, sign}, with sign the md5 of
// app_key + timestamp + app_secret in lower-case hex.
func (c *call) signIn() answer {
	if refused, ok := c.strict("app_key", "timestamp", "sign"); !ok {
		return refused
	}
	appKey, timestamp, sign := c.fields.get("app_key"), c.fields.get("timestamp"), c.fields.get("sign")
	at, ok := parseTimestamp(timestamp)
	if !ok {
		return c.refuse("bad_timestamp")
	}
	if appKey != c.s.opt.AppKey {
		return c.refuse("unknown_app_key")
	}
	if off := c.now().Sub(at).Abs(); off > timestampWindow {
		return c.refuse("stale_timestamp")
	}
	sum := md5.Sum([]byte(appKey + timestamp + c.s.opt.AppSecret))
	if sign != hex.EncodeToString(sum[:]) {
		return c.refuse("bad_sign")
	}
	if c.s.opt.RefuseReplay && !c.s.replays.first(timestamp+":"+sign, at, c.now()) {
		return c.refuse("replayed")
	}
	now := time.Now()
	return c.grant(c.s.tokens.obtain(now, c.same), now)
}

// refresh is POST /token/refresh: {refresh_token}, good for one time.
func (c *call) refresh() answer {
	if refused, ok := c.strict("refresh_token"); !ok {
		return refused
	}
	now := time.Now()
	p, outcome := c.s.tokens.renew(c.fields.get("refresh_token"), now, c.same)
	if outcome != outcomeOK {
		return c.refuse(outcome)
	}
	return c.grant(p, now)
}

// strict checks that the request is whole and names each parameter once. Only
// the timestamp, a Long, may be a JSON number.
func (c *call) strict(names ...string) (refused answer, ok bool) {
	if c.r.Method != http.MethodPost && c.r.Method != http.MethodGet {
		return c.refuse("bad_method"), false
	}
	if c.fields.err != nil {
		return c.refuse("malformed"), false
	}
	for _, name := range names {
		switch vs := c.fields.all(name); {
		case len(vs) == 0 || vs[0] == "":
			return c.refuse("missing_" + name), false
		case len(vs) > 1:
			return c.refuse("repeated_" + name), false
		case name != "timestamp" && c.fields.nums[name]:
			return c.refuse("mistyped_" + name), false
		}
	}
	return answer{}, true
}

func (c *call) refuse(reason string) answer {
	return envelope(reason, c.s.opt.RefuseStatus, "401000", reason, nil)
}

// grant answers with a pair in the protocol's form.
func (c *call) grant(p pair, now time.Time) answer {
	c.entry.Issued, c.entry.Generation = p.access, p.generation
	data := map[string]any{"access_token": p.access, "refresh_token": p.refresh}
	if left := expiresIn(c.s.opt.ExpiresIn, p.expires, now); left != nil {
		data["expires_in"] = left
	}
	return envelope(outcomeOK, http.StatusOK, "000000", "", data)
}

// parseTimestamp takes 13 digits as milliseconds and 10 as seconds.
func parseTimestamp(s string) (time.Time, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	switch {
	case err != nil:
		return time.Time{}, false
	case len(s) == 13:
		return time.UnixMilli(int64(n)), true
	case len(s) == 10:
		return time.Unix(int64(n), 0), true
	default:
		return time.Time{}, false
	}
}

// replays remembers used signatures for as long as their timestamp is good.
type replays struct {
	mu   sync.Mutex
	used map[string]time.Time // until when
}

// first reports whether a signature is used for the first time.
func (r *replays) first(key string, at, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, again := r.used[key]; again {
		return false
	}
	if r.used == nil {
		r.used = map[string]time.Time{}
	}
	maps.DeleteFunc(r.used, func(_ string, until time.Time) bool { return now.After(until) })
	r.used[key] = at.Add(timestampWindow)
	return true
}
