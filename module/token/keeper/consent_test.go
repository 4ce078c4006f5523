package keeper

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/switchboard-ivr/switchboard/module/token"
)

const advice = "run `caddy switchboard tokens connect crm`"

func consentPolicy() token.Policy {
	p := testPolicy()
	p.Consent, p.MustDiffer = true, false
	return p
}

// consenting gives a token endpoint that takes codes and refresh tokens only.
func consenting() *issuer {
	i := newIssuer()
	i.noObtain = true
	return i
}

// consent goes the whole way.
func consent(t *testing.T, k *Keeper, code string) error {
	t.Helper()
	const redirect = "http://127.0.0.1:1/callback"
	begun := k.BeginConsent(redirect)
	return k.EndConsent(t.Context(), Redirected{State: begun.State, Code: code})
}

func mustConsent(t *testing.T, k *Keeper, code string) {
	t.Helper()
	if err := consent(t, k, code); err != nil {
		t.Fatal(err)
	}
}

func TestBeforeAndAfterAConsent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := consenting(), newMemory()
		k, l := keeping(t, consentPolicy(), i, s)
		k.Start()
		for range 100 {
			time.Sleep(time.Minute)
			_, err := k.Token(within(t, 2*time.Second))
			lack, ok := errors.AsType[*token.NoTokenError](err)
			if !ok || lack.Error() != "no token from crm: nobody has consented yet; "+advice {
				t.Fatalf("Token: %v", err)
			}
		}
		if st := k.State(); st.Phase != "none" || !strings.HasSuffix(st.LastError, advice) || !st.NextAttempt.IsZero() {
			t.Errorf("state %+v", st)
		}
		if err := k.Renew(t.Context()); err == nil || !strings.Contains(err.Error(), advice) {
			t.Errorf("Renew: %v", err)
		}
		if reads, writes := s.count("load"), s.count("store"); i.calls() != 0 || reads > 100*60/2 || writes != 0 {
			t.Errorf("%d calls, %d reads and %d writes in 100 minutes", i.calls(), reads, writes)
		}
		if _, failed := l.heard(); len(failed) != 0 || l.count(zapcore.WarnLevel, "waits for a consent") != 2 {
			t.Errorf("failures %v, %d warnings", failed, l.count(zapcore.WarnLevel, "waits for a consent"))
		}

		begun := k.BeginConsent("http://127.0.0.1:1/callback")
		if err := k.EndConsent(t.Context(), Redirected{State: begun.State, Code: "c1"}); err != nil {
			t.Fatal(err)
		}
		c := i.log()[0].consent
		sum := sha256.Sum256([]byte(c.Verifier))
		if c.Code != "c1" || c.Redirect != "http://127.0.0.1:1/callback" || base64.RawURLEncoding.EncodeToString(sum[:]) != begun.Challenge ||
			len(c.Verifier) != 43 || len(begun.State) != 43 || c.Verifier == begun.State {
			t.Errorf("sent %+v for %+v", c, begun)
		}
		if tok := must(t, k); tok.Generation != 1 || s.stored(t, k.policy).Refresh != "refresh-1" {
			t.Errorf("generation %d, stored %+v", tok.Generation, s.stored(t, k.policy))
		}
		if st := k.State(); st.Phase != "fresh" || st.LastError != "" {
			t.Errorf("state %+v", st)
		}
		// from now on it is a source like any other
		time.Sleep(10 * time.Hour)
		if k.Current() == nil || i.calls(howObtain) != 1 || i.calls(howRefresh) < 5 || len(i.resent()) != 0 {
			t.Errorf("%d obtained, %d refreshed, %v twice", i.calls(howObtain), i.calls(howRefresh), i.resent())
		}
		if renewed, _ := l.heard(); renewed[0] != howObtain || renewed[1] != howRefresh {
			t.Errorf("observed %v", renewed)
		}
	})
}

func TestConsentStates(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := consenting()
		k, _ := keeping(t, consentPolicy(), i, newMemory())
		finish := func(back Redirected) error { return k.EndConsent(t.Context(), back) }
		begun := k.BeginConsent("http://127.0.0.1:1/callback")
		for _, state := range []string{"", "x", begun.State[1:], begun.State + "x"} {
			if err := finish(Redirected{State: state, Code: "c"}); !errors.Is(err, ErrUnknownState) {
				t.Errorf("state %q: %v", state, err)
			}
		}
		if err := finish(Redirected{State: begun.State, Code: "c"}); err != nil {
			t.Error(err)
		}
		if err := finish(Redirected{State: begun.State, Code: "c"}); !errors.Is(err, ErrUnknownState) || i.calls() != 1 {
			t.Errorf("used again: %v after %d calls", err, i.calls())
		}
		late := k.BeginConsent("http://127.0.0.1:1/callback")
		time.Sleep(10 * time.Minute)
		if err := finish(Redirected{State: late.State, Code: "c"}); !errors.Is(err, ErrUnknownState) {
			t.Errorf("after %s: %v", consentTime, err)
		}
		first := k.BeginConsent("http://127.0.0.1:1/callback")
		for range 1000 {
			k.BeginConsent("http://127.0.0.1:1/callback")
		}
		if err := finish(Redirected{State: first.State, Code: "c"}); !errors.Is(err, ErrUnknownState) || len(k.pending) > maxPending {
			t.Errorf("the first of 1001: %v, %d are kept", err, len(k.pending))
		}
		for want, back := range map[string]Redirected{
			"the consent was denied (access_denied)":                              {Error: "access_denied"},
			`the consent was denied (access_denied); it says "no  [31mway"`:       {Error: "access_denied", Description: "no\n\x1b[31mway"},
			`the consent was denied (access_denied); it says "no ***@*** here"`:   {Error: "access_denied", Description: "no ann@example.com here"},
			"the authorization endpoint gave no code: invalid_scope":              {Error: "invalid_scope", Code: "c"},
			"the redirect carries neither a code nor an error; begin again":       {},
			"the authorization endpoint gave no code: " + strings.Repeat("e", 64): {Error: strings.Repeat("e", 1000)},
		} {
			back.State = k.BeginConsent("http://127.0.0.1:1/callback").State
			if err := finish(back); err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
			if err := finish(back); !errors.Is(err, ErrUnknownState) {
				t.Errorf("again: %v", err)
			}
		}
		if i.calls() != 1 {
			t.Errorf("%d calls, want 1", i.calls())
		}
	})
}

func TestConsentIssuer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := consentPolicy()
		p.Issuer = "https://a.example"
		i := consenting()
		k, _ := keeping(t, p, i, newMemory())
		for iss, want := range map[string]error{"": ErrNoIssuer, "https://a.example/": ErrWrongIssuer, "https://a.example": nil} {
			begun := k.BeginConsent("http://127.0.0.1:1/callback")
			if err := k.EndConsent(t.Context(), Redirected{State: begun.State, Code: "c", Issuer: iss}); !errors.Is(err, want) {
				t.Errorf("%q: %v", iss, err)
			}
		}
		if i.calls() != 1 {
			t.Errorf("%d calls, want 1", i.calls())
		}
	})
}

// A consent that fails is told, and changes nothing for a token that is held.
func TestConsentFails(t *testing.T) {
	refused := &token.Failure{Kind: token.Refused, Status: 400, Code: "invalid_grant", Date: time.Now().Add(time.Hour), Reason: "the endpoint said no", Message: "expired"}
	for name, test := range map[string]struct {
		set  func(i *issuer)
		want string
	}{
		"refused":          {func(i *issuer) { i.before = func(context.Context, tokenCall) error { return refused } }, `code invalid_grant): the endpoint says "expired"`},
		"unreachable":      {func(i *issuer) { i.before = down }, "connecting"},
		"no refresh token": {func(i *issuer) { i.grant = func(g *token.Grant) { g.Refresh = "" } }, "the endpoint gave no refresh token"},
		"an expired token": {func(i *issuer) {
			i.grant = func(g *token.Grant) { g.Lifetime, g.Expires = 0, time.Now().Add(-time.Hour) }
		}, "a token that has expired"},
	} {
		for _, held := range []bool{false, true} {
			t.Run(fmt.Sprint(name, held), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					i := consenting()
					k, _ := keeping(t, consentPolicy(), i, newMemory())
					if held {
						mustConsent(t, k, "c1")
					}
					before, n := k.State(), i.calls()
					i.set(func() { test.set(i) })
					if err := consent(t, k, "c2"); err == nil || !strings.Contains(err.Error(), test.want) {
						t.Errorf("got %v", err)
					}
					if n = i.calls() - n; n != 1 {
						t.Errorf("the code was sent %d times", n)
					}
					after := k.State()
					if after.Phase != before.Phase && before.Phase != "none" || after.Generation != before.Generation || !after.NextAttempt.Equal(before.NextAttempt) {
						t.Errorf("%+v, and before %+v", after, before)
					}
					i.set(func() { i.before, i.grant = nil, nil })
					mustConsent(t, k, "c3")
					if tok := must(t, k); tok.Generation != before.Generation+1 || !i.accepts(tok) {
						t.Errorf("generation %d", tok.Generation)
					}
				})
			})
		}
	}
}

func TestConsentIsSharedAndKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := consenting(), newMemory()
		one, _ := keeping(t, consentPolicy(), i, s)
		other, seen := keeping(t, consentPolicy(), i, s)
		one.Start()
		other.Start()
		time.Sleep(time.Hour)
		if one.Current() != nil || other.Current() != nil {
			t.Fatal("a token before the consent")
		}
		mustConsent(t, one, "c1")
		time.Sleep(pollEvery)
		if tok := other.Current(); tok == nil || tok.Access != one.Current().Access {
			t.Fatalf("the other instance has %v", tok)
		}
		if renewed, _ := seen.heard(); fmt.Sprint(renewed) != "[adopt]" || i.calls() != 1 {
			t.Errorf("observed %v after %d calls", renewed, i.calls())
		}
		_ = one.Destruct()
		_ = other.Destruct()
		restarted, _ := keeping(t, consentPolicy(), i, s)
		if tok := must(t, restarted); tok.Generation != 1 || i.calls() != 1 {
			t.Errorf("after a restart: generation %d, %d calls", tok.Generation, i.calls())
		}
		_ = restarted.Destruct()
		// and after its end, by its refresh token
		time.Sleep(3 * time.Hour)
		later, _ := keeping(t, consentPolicy(), i, s)
		if tok := must(t, later); tok.Generation != 2 || i.calls(howRefresh) != 1 {
			t.Errorf("after its end: generation %d, %d renewals", tok.Generation, i.calls(howRefresh))
		}
	})
}

func TestConsentEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := consenting(), newMemory()
		k, _ := keeping(t, consentPolicy(), i, s)
		mustConsent(t, k, "c1")
		revoked := func(_ context.Context, c tokenCall) error {
			if c.how == howRefresh {
				return &token.Failure{Kind: token.Refused, Status: 400, Code: "invalid_grant", Reason: "the endpoint said no"}
			}
			return nil
		}
		i.set(func() { i.before = revoked })
		time.Sleep(24 * time.Hour)
		const ended = "refused (status 400, code invalid_grant): the consent has ended; " + advice
		_, err := k.Token(within(t, 2*time.Second))
		if err == nil || err.Error() != "no token from crm: "+ended {
			t.Errorf("Token: %v", err)
		}
		if st := k.State(); st.Phase != "failing" || st.LastError != ended {
			t.Errorf("state %+v", st)
		}
		n := i.calls()
		time.Sleep(24 * time.Hour)
		if n = i.calls() - n; n > 24 {
			t.Errorf("%d calls in a day", n)
		}
		// a restart doesn't forget it
		_ = k.Destruct()
		k, _ = keeping(t, consentPolicy(), i, s)
		if _, err := k.Token(within(t, 2*time.Second)); err == nil || !strings.Contains(err.Error(), "the renewal was refused; if the consent has ended, "+advice) {
			t.Errorf("after a restart: %v", err)
		}
		mustConsent(t, k, "c2")
		tok := must(t, k)
		if !i.accepts(tok) || k.State().LastError != "" {
			t.Errorf("after another consent: %+v", k.State())
		}
	})
}

// Renewals of the old consent that are under way don't replace a new one.
func TestConsentDuringARenewal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := consenting(), newMemory()
		one, _ := keeping(t, consentPolicy(), i, s)
		other, _ := keeping(t, consentPolicy(), i, s)
		mustConsent(t, one, "c1")
		must(t, other)
		i.set(func() { i.latency = time.Second })
		done := make(chan error)
		go func() { done <- other.Renew(t.Context()) }()
		time.Sleep(700 * time.Millisecond)
		mustConsent(t, one, "c2")
		if err := <-done; err != nil {
			t.Error(err)
		}
		if one.snapshot().Refresh != "refresh-3" || s.stored(t, one.policy).Refresh != "refresh-3" || one.Current().Generation < 3 {
			t.Errorf("held %+v, stored %+v", one.snapshot(), s.stored(t, one.policy))
		}
		time.Sleep(4 * time.Hour)
		if len(i.resent()) != 0 || one.Current() == nil || other.Current() == nil || one.Current().Access != other.Current().Access {
			t.Errorf("%v twice; %v and %v", i.resent(), one.Current(), other.Current())
		}
	})
}

// A storage that fails must not be told as a missing consent.
func TestConsentThatCannotBeRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := consenting(), newMemory()
		k, _ := keeping(t, consentPolicy(), i, s)
		mustConsent(t, k, "c1")
		_ = k.Destruct()
		p := consentPolicy()
		p.SealKey = [32]byte{9}
		again, _ := keeping(t, p, i, s)
		if _, err := again.Token(within(t, 2*time.Second)); err == nil || !strings.Contains(err.Error(), "the stored consent can't be read") || !strings.Contains(err.Error(), advice) {
			t.Errorf("Token: %v", err)
		}
		s.setHook(func(context.Context, string) error { return errors.New("down") })
		broken, _ := keeping(t, consentPolicy(), i, s)
		if _, err := broken.Token(within(t, 2*time.Second)); err == nil || !strings.Contains(err.Error(), "the stored consent can't be read") {
			t.Errorf("Token: %v", err)
		}
		s.setHook(nil)
		time.Sleep(storagePause + pollEvery)
		if broken.Current() == nil || i.calls() != 1 {
			t.Errorf("once the storage is back: %+v, %d calls", broken.State(), i.calls())
		}
	})
}
