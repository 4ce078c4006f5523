package endpoint

import (
	"strconv"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/cache"
)

// cacheUse is what the cache had for a call, as Cache-Status tells it (RFC 9211).
type cacheUse struct {
	isHit     bool
	forward   string // why the API was asked: miss, stale or bypass
	ttl       time.Duration
	hasTTL    bool
	status    int // of the API's answer
	stored    bool
	collapsed bool   // another call asked the API
	detail    string // stale-while-revalidate, stale-if-error
	unkept    string // why the answer was not kept
	subject   []byte // what the call is about; nil when it wasn't looked for
	keyless   bool   // the key could not be made, which ended the call
}

// A call whose route has no cache goes by it.
const forwardBypass = "bypass"

func (u *cacheUse) bypassed() { u.forward = forwardBypass }

func (u *cacheUse) hit(e *cache.Entry, now time.Time) {
	u.isHit = true
	u.ttl, u.hasTTL = e.Fresh.Sub(now), true
	if u.ttl <= 0 {
		u.detail = "stale-while-revalidate"
	}
}

func (u *cacheUse) forwarded(older *cache.Entry, created bool) {
	u.forward, u.collapsed = "miss", !created
	if older != nil {
		u.forward = "stale"
	}
}

// answered notes the API's answer. Only the call that it was made for has stored
// it.
func (u *cacheUse) answered(res *Result, own bool) {
	u.status, u.unkept, u.stored = res.Received, res.NotStored, own && res.stored
}

func (u *cacheUse) failed(e *cache.Entry, now time.Time) {
	u.ttl, u.hasTTL, u.detail = e.Fresh.Sub(now), true, "stale-if-error"
}

// result is the word for metrics and logs; "" without a cache.
func (u *cacheUse) result() string {
	switch {
	case u.detail != "":
		return "stale"
	case u.isHit:
		return "hit"
	case u.collapsed:
		return "collapsed"
	default:
		return u.forward
	}
}

// append writes the member of Cache-Status.
func (u *cacheUse) append(b []byte) []byte {
	b = append(b, "switchboard"...)
	switch {
	case u.isHit:
		b = append(b, "; hit"...)
	case u.forward == "":
		b = append(b, "; fwd="+forwardBypass...)
	default:
		b = append(append(b, "; fwd="...), u.forward...)
	}
	if u.status != 0 {
		b = strconv.AppendInt(append(b, "; fwd-status="...), int64(u.status), 10)
	}
	if u.hasTTL {
		b = strconv.AppendInt(append(b, "; ttl="...), int64(u.ttl/time.Second), 10)
	}
	if u.stored {
		b = append(b, "; stored"...)
	}
	if u.collapsed {
		b = append(b, "; collapsed"...)
	}
	if u.detail != "" {
		b = append(append(b, "; detail="...), u.detail...)
	}
	return b
}
