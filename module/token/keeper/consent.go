package keeper

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// This file is for sources that have no token before a person has consented. A consent
// is begun by BeginConsent, which makes what goes into the URL for the person's browser,
// and ended by EndConsent with what the browser brings back.

const (
	// consentTime is how long a person has to consent.
	consentTime = 10 * time.Minute
	// maxPending bounds the consents under way; the oldest gives way to a new one.
	maxPending = 8
)

// pendingConsent is a consent under way. It is in memory only.
type pendingConsent struct {
	state    string
	verifier string
	redirect string
	until    time.Time
}

// BegunConsent is what the browser of the person who consents must be told.
type BegunConsent struct {
	State     string
	Challenge string    // the S256 challenge of RFC 7636
	Until     time.Time // when it is too late
}

// Redirected is what a browser brings back from the authorization endpoint (RFC 6749,
// sections 4.1.2 and 4.1.2.1; RFC 9207).
type Redirected struct {
	State, Code, Issuer string
	// Error and Description are set instead of the code when there is no consent.
	Error, Description string
}

// Errors of EndConsent that don't come from the endpoint.
var (
	ErrUnknownState = errors.New("state belongs to no consent under way: it took more than 10 minutes, was used before, or was begun by another instance or configuration; begin again")
	ErrWrongIssuer  = errors.New("iss is not the issuer in the configuration: another server may have answered; nothing was sent, begin again")
	ErrNoIssuer     = errors.New("the redirect carries no iss, which the configuration asks for; paste the whole address that the browser shows, not the code alone")
	ErrNoCode       = errors.New("the redirect carries neither a code nor an error; begin again")
)

// DeniedError says that the authorization endpoint gave no code.
type DeniedError struct{ Code, Description string }

func (e *DeniedError) Error() string {
	text := "the authorization endpoint gave no code: " + e.Code
	if e.Code == "access_denied" {
		text = "the consent was denied (access_denied)"
	}
	if e.Description != "" {
		text += fmt.Sprintf("; it says %q", e.Description)
	}
	return text
}

// BeginConsent begins a consent whose code will come to the redirect URI.
func (k *Keeper) BeginConsent(redirect string) BegunConsent {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	k.forgetConsents(now)
	if len(k.pending) == maxPending {
		k.pending = slices.Delete(k.pending, 0, 1)
	}
	p := pendingConsent{state: randomText(), verifier: randomText(), redirect: redirect, until: now.Add(consentTime)}
	k.pending = append(k.pending, p)
	challenge := sha256.Sum256([]byte(p.verifier))
	return BegunConsent{State: p.state, Challenge: base64.RawURLEncoding.EncodeToString(challenge[:]), Until: p.until}
}

// randomText returns 256 random bits as 43 characters, as RFC 7636 asks of a verifier.
func randomText() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// forgetConsents drops those that took too long. The caller holds k.mu.
func (k *Keeper) forgetConsents(now time.Time) {
	k.pending = slices.DeleteFunc(k.pending, func(p pendingConsent) bool { return !now.Before(p.until) })
}

// takeConsent ends the consent of a state: it can't be used again.
func (k *Keeper) takeConsent(state string) (taken pendingConsent, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forgetConsents(k.now())
	for i, p := range k.pending {
		if subtle.ConstantTimeCompare([]byte(p.state), []byte(state)) == 1 {
			k.pending = slices.Delete(k.pending, i, i+1)
			return p, nil
		}
	}
	return taken, ErrUnknownState
}

// EndConsent exchanges the code that a browser brought back, and makes what it gives
// the next generation. A failure leaves a token that is held as it is. An exchange that has
// begun goes on when ctx ends.
func (k *Keeper) EndConsent(ctx context.Context, back Redirected) error {
	p, err := k.takeConsent(back.State)
	switch {
	case err != nil:
		return err
	case k.policy.Issuer != "" && back.Issuer == "":
		return ErrNoIssuer
	case k.policy.Issuer != "" && back.Issuer != k.policy.Issuer:
		return ErrWrongIssuer
	case back.Error != "":
		return &DeniedError{Code: outside(back.Error, 64), Description: outside(back.Description, 200)}
	case back.Code == "":
		return ErrNoCode
	}
	k.Start()
	for {
		k.mu.Lock()
		f, mine := k.inflight, false
		if f == nil {
			// no other generation can replace what this one replaces
			f, mine = &inflight{
				replaces: math.MaxUint64, forced: true,
				consent: &token.Consent{Code: back.Code, Verifier: p.verifier, Redirect: p.redirect},
			}, true
			k.start(f, k.exchangeCode)
		}
		k.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if mine {
			return f.err
		}
	}
}

// outside returns the beginning of a text that came from outside, masked and without
// what could steer a terminal.
func outside(text string, most int) string {
	r := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text))
	return mask.Text(strings.TrimSpace(string(r[:min(len(r), most)])))
}

var errNoRefreshToken error = &token.Failure{Kind: token.Invalid, Reason: "the endpoint gave no refresh token, so somebody would have to consent again " +
	"when the token ends; nothing was kept. Ask for offline access in the `query` of `authorize`, as the API's documentation says: often `scope` with offline_access, " +
	"or access_type: \"offline\" with prompt: \"consent\""}

// exchangeCode exchanges the code of a consent for the next generation. It is sent
// once: a code that comes twice ends what came of it (RFC 6749, section 4.1.2).
func (k *Keeper) exchangeCode(ctx context.Context, f *inflight) outcome {
	f.store = k.awaitStore(ctx)
	k.loadStored(ctx, f.store)
	if f.store != nil {
		unlock, o, done := k.acquireLock(ctx, f)
		if done {
			return o
		}
		defer unlock()
		k.loadStored(ctx, f.store)
	}
	k.markCall(ctx, f.store, howObtain)
	r := k.snapshot()
	p := r.params(r.Skew)
	p.Consent = f.consent
	g, asked, err := k.callOnce(ctx, howObtain, p)
	if err == nil && g.Refresh == "" {
		err = errNoRefreshToken
	}
	if err != nil {
		return outcome{how: howObtain, err: err}
	}
	k.logWarnings(g)
	next := r.successor(g, howObtain, asked, &k.policy)
	if !k.now().Before(next.Expires) {
		return outcome{how: howObtain, err: errExpired}
	}
	// whatever another instance made of the consent before, this one is newer
	return k.storeAndPublish(ctx, f.store, record{Generation: math.MaxUint64}, next, howObtain)
}

// consentCause is why there is no token before a consent.
func (k *Keeper) consentCause() error {
	why := "nobody has consented yet"
	if k.unreadable.Load() {
		why = "the stored consent can't be read: the storage failed, or it was sealed with other credentials"
	}
	return &noConsentError{why + "; " + connectAdvice(k.policy.Name)}
}

func connectAdvice(name string) string {
	return "run `caddy switchboard tokens connect " + name + "`"
}

// withConsentAdvice adds to a refused renewal that somebody must consent again, or may
// have to: invalid_grant is the end of a refresh token (RFC 6749, section 5.2).
func (k *Keeper) withConsentAdvice(err error) error {
	if !k.policy.Consent {
		return err
	}
	fail, ok := errors.AsType[*token.Failure](err)
	if !ok {
		return fmt.Errorf("%w; if the consent has ended, %s", err, connectAdvice(k.policy.Name))
	}
	if fail.Kind != token.Refused {
		return err
	}
	with := *fail
	if fail.Code == "invalid_grant" {
		with.Reason = "the consent has ended; " + connectAdvice(k.policy.Name)
	} else {
		with.Reason += "; if the consent has ended, " + connectAdvice(k.policy.Name)
	}
	return &with
}
