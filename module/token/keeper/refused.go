package keeper

import (
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// This file distinguishes a token that is dead from a request that the API refuses
// whatever the token, and bounds the renewals for both.

const (
	// refusalWindow is the time in which at most maxRenewals renewals are made
	// because the API refused a token, maxDoubtful of them without calls in a row
	// that show that it is dead.
	refusalWindow = 10 * time.Minute
	maxRenewals   = 6
	maxDoubtful   = 4
	// cureTime is how long after a renewal a refusal of the very request that
	// caused it shows that the renewal didn't help: calls are replayed at once.
	cureTime = 10 * time.Second
	// firstRecheck is how long such a request causes no renewal; doubled each time.
	firstRecheck = 2 * time.Minute
	// deadRun refusals in a row over deadTime, of a token that was accepted
	// before, show that it is dead.
	deadRun  = 3
	deadTime = time.Second
	// maxKnown bounds the requests that are remembered.
	maxKnown = 1000
)

// spacing is the time between two renewals for refused tokens, by how many there
// were in the last 10 minutes.
var spacing = [maxDoubtful]time.Duration{2: 30 * time.Second, 3: 2 * time.Minute}

// refusals is what a keeper remembers of calls that the API refused with the
// token that is held. It is guarded by the keeper's mutex.
type refusals struct {
	renewals []time.Time        // that they led to, in the last 10 minutes
	known    map[uint64]recheck // requests that a renewal didn't help
	killer   uint64             // the request whose refusal ended the last token
	cause    uint64             // the same, of the token that is held now
	run      int                // refusals in a row, no accepted call between
	since    time.Time          // the first of them
	// alive: the API has accepted the token that is held, or the one before it: a
	// new one may die before its first call.
	alive, inherited bool
}

// recheck is when a request that is refused for good may cause a renewal again.
type recheck struct {
	at   time.Time
	wait time.Duration
}

// published notes that a new generation is held instead of old.
func (f *refusals) published(r *record, old *token.Token, now time.Time) {
	f.alive = f.alive && !f.inherited || old != nil && old.Accepted()
	f.inherited = f.alive
	f.run = 0
	f.cause, f.killer = f.killer, 0
	if r.Died.Equal(r.Obtained) && !r.Died.IsZero() && now.Sub(r.Died) < refusalWindow {
		f.renewals = append(f.renewals, r.Died)
	}
	f.forget(now)
}

// forget drops what is too old to count.
func (f *refusals) forget(now time.Time) {
	for len(f.renewals) > 0 && (now.Sub(f.renewals[0]) >= refusalWindow || len(f.renewals) > maxRenewals) {
		f.renewals = f.renewals[1:]
	}
	for request, k := range f.known {
		if now.Sub(k.at) > refusalWindow {
			delete(f.known, request)
		}
	}
}

// useless notes that the renewal which a request caused didn't help it. It
// reports whether that is so.
func (f *refusals) useless(request uint64, obtained, now time.Time) bool {
	if request == 0 || request != f.cause || now.Sub(obtained) > cureTime && f.alive && !f.inherited {
		return false // it may have been accepted meanwhile
	}
	f.cause = 0
	wait := max(firstRecheck, 2*f.known[request].wait)
	if f.known == nil {
		f.known = make(map[uint64]recheck)
	}
	if _, ok := f.known[request]; ok || len(f.known) < maxKnown {
		f.known[request] = recheck{now.Add(wait), wait}
	}
	return true
}

// next is when the refusal of a request may lead to a renewal: now, later, or
// never (zero), because a renewal doesn't help this request.
func (f *refusals) next(request uint64, now time.Time) time.Time {
	n := len(f.renewals)
	dead := n < maxRenewals && f.alive && f.run >= deadRun && now.Sub(f.since) >= deadTime
	known, ok := f.known[request]
	switch {
	case dead:
		return now
	case ok && now.Before(known.at):
		return time.Time{}
	case n >= maxDoubtful:
		return f.renewals[n-maxDoubtful].Add(refusalWindow)
	case n == 0:
		return now
	default:
		return later(now, f.renewals[n-1].Add(spacing[n]))
	}
}

// Invalidate reports that the API refused the token of this generation. If that is
// the generation held, it isn't served any more and one renewal follows; any
// number of calls for one generation cause one renewal. request stands for
// what was asked, the same number for the same request, 0 when that isn't known.
// reason is for the log: a status or a business code.
//
// Some APIs refuse a request whatever the token. Where the renewal didn't help the
// request that caused it, or where there were too many renewals, the token goes on
// being served: other requests need it. Once calls are refused in a row that were
// accepted before, it counts as dead again. A static token stays what it is.
func (k *Keeper) Invalidate(generation, request uint64, reason string) {
	log := k.env.Load().Logger
	if k.static() {
		now := time.Now().UnixNano()
		if last := k.staticWarned.Load(); now-last > int64(time.Minute) && k.staticWarned.CompareAndSwap(last, now) {
			log.Warn("the API refused the static token", zap.String("reason", reason))
		}
		return
	}
	k.mu.Lock()
	now := k.now()
	r := k.record
	age := now.Sub(r.Obtained)
	effect := k.handleRefusal(generation, request, now)
	k.mu.Unlock()

	if effect.ignored {
		return
	}
	log = log.With(zap.Uint64("generation", generation), zap.String("fingerprint", r.token().Fingerprint()),
		zap.String("reason", reason), zap.Duration("age", age))
	switch {
	case effect.useless:
		log.Error("the API refused a token that had just replaced a refused one; "+
			"another system may sign in with the same credentials, or token_expired matches too much", zap.Time("next_renewal", effect.next))
	case effect.learned > 0:
		log.Warn("tokens die before their time; taking their lifetime to be shorter", zap.Duration("lifetime", effect.learned))
	default:
		log.Warn("the API refused the token")
	}
}

// refusalEffect is what a refusal of the token means.
type refusalEffect struct {
	ignored bool          // nothing new
	useless bool          // a renewal doesn't help
	next    time.Time     // when one is made nevertheless
	learned time.Duration // how long tokens live
}

// handleRefusal decides what follows from a refusal. The caller holds k.mu.
func (k *Keeper) handleRefusal(generation, request uint64, now time.Time) refusalEffect {
	r, f := &k.record, &k.refusals
	if generation != r.Generation || r.Access == "" || r.Dead {
		return refusalEffect{ignored: true}
	}
	if t := k.current.Load(); t != nil && t.Refuse() {
		f.run, f.alive, f.inherited = 0, true, false
	}
	f.forget(now)
	useless := f.useless(request, r.Obtained, now)
	if useless {
		r.Deaths, r.Learned, r.LearnedAt = 0, 0, time.Time{} // the death was none
	}
	f.count(request, now)
	at := f.next(request, now)
	if at.IsZero() {
		k.doubted = true // but another instance may have a newer token
		k.wakeLoop()
		return refusalEffect{ignored: !useless, useless: true, next: f.known[request].at}
	}
	k.wanted = true
	defer k.wakeLoop()
	if at.After(now) {
		effect := refusalEffect{ignored: r.Suspect, useless: true, next: at}
		r.Suspect = true
		k.due = earlier(k.due, at)
		k.pollAt = now
		return effect
	}
	_, known := f.known[request]
	f.killer = request
	k.current.Store(nil)
	return refusalEffect{learned: r.markDead(now, len(f.renewals) == 0 && !known)}
}

// count counts a refusal of the token that is held. A request that is refused for
// good says nothing of the token.
func (f *refusals) count(request uint64, now time.Time) {
	if _, ok := f.known[request]; ok {
		return
	}
	if f.run++; f.run == 1 {
		f.since = now
	}
}

// Refusal says why the API may have refused a call although the source does what
// it can: for a call that was refused with the token that is held, after its
// replay. It is "" when nothing is known. It holds no secret.
func (k *Keeper) Refusal() string {
	if k.static() {
		return "the API refuses the static token"
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now, f := k.now(), &k.refusals
	t := k.current.Load()
	switch {
	case !t.Valid(now) && k.lastErr != nil:
		return "the API refused the token, and it could not be renewed: " + k.lastErr.Error()
	case !t.Valid(now):
		return "the API refused the token, and it is being renewed"
	case len(f.renewals) == 0 && !k.record.Suspect:
		return ""
	}
	var why strings.Builder
	fmt.Fprintf(&why, "renewed %s ago and refused again; ", now.Sub(t.Obtained).Round(time.Second))
	if f.alive && !f.inherited || t.Accepted() {
		why.WriteString("other requests are accepted with the same token, so the API may refuse this one whatever the token, or token_expired matches too much")
	} else {
		why.WriteString("another system may sign in with the same credentials, or token_expired matches too much")
	}
	if k.record.Suspect && k.due.After(now) {
		fmt.Fprintf(&why, "; renewed again in %s", k.due.Sub(now).Round(time.Second))
	}
	return why.String()
}
