package provider_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// toThePresent sets a bubble's clock forward: it starts in 2000, when
// milliseconds still had twelve digits.
func toThePresent() { time.Sleep(25 * 365 * 24 * time.Hour) }

func TestSignInTakesTheDocumentsRequest(t *testing.T) {
	good := signed(time.Now())
	seconds := strconv.FormatInt(time.Now().Unix(), 10)
	inSeconds := url.Values{"app_key": {"demo-app"}, "timestamp": {seconds}, "sign": {sign("demo-app", seconds, "demo-secret")}}
	for _, tc := range []struct {
		name, via string
		request   *http.Request
	}{
		{"JSON", "json", post(t, "/token/get", jsonType, asJSON(good))},
		{"JSON with a charset", "json", post(t, "/token/get", "application/json; charset=utf-8", asJSON(good))},
		{"JSON with the timestamp as text", "json", post(t, "/token/get", jsonType,
			strings.ReplaceAll(asJSON(good), good.Get("timestamp"), `"`+good.Get("timestamp")+`"`))},
		{"JSON in seconds", "json", post(t, "/token/get", jsonType, asJSON(inSeconds))},
		{"form", "form", post(t, "/token/get", formType, good.Encode())},
		{"query of a POST", "query", post(t, "/token/get?"+good.Encode(), "", "")},
		{"query of a GET", "query", bare(t, http.MethodGet, "/token/get?"+good.Encode())},
		{"form and query", "form+query", post(t, "/token/get?app_key=demo-app", formType,
			url.Values{"timestamp": good["timestamp"], "sign": good["sign"]}.Encode())},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := provider.New(provider.Options{})
			r := serve(t, s, tc.request)
			if r.status != http.StatusOK || r.at(t, "code") != "000000" {
				t.Fatalf("answer: %d %s", r.status, r.body)
			}
			if r.at(t, "data.access_token") == r.at(t, "data.refresh_token") || strings.Contains(r.body, "expires_in") {
				t.Errorf("answer: %s", r.body)
			}
			if e := last(s); e.Via != tc.via || e.Outcome != "ok" || e.Issued != r.at(t, "data.access_token") || e.Generation != 1 {
				t.Errorf("ledger: %+v", e)
			}
		})
	}
}

func TestSignInIsStrict(t *testing.T) {
	now := time.Now()
	good := signed(now)
	with := func(name, value string) url.Values {
		v := url.Values{}
		maps.Copy(v, good)
		v[name] = []string{value}
		return v
	}
	signedAt := func(ts string) url.Values {
		return url.Values{"app_key": {"demo-app"}, "timestamp": {ts}, "sign": {sign("demo-app", ts, "demo-secret")}}
	}
	form := func(v url.Values) *http.Request { return post(t, "/token/get", formType, v.Encode()) }
	for _, tc := range []struct {
		outcome string
		request *http.Request
	}{
		{"bad_sign", form(with("sign", strings.ToUpper(good.Get("sign"))))},
		{"bad_sign", form(with("sign", sign("demo-app", good.Get("timestamp"), "other-secret")))},
		{"bad_sign", form(with("timestamp", millis(now.Add(time.Second))))},
		{"unknown_app_key", form(with("app_key", "demo-App"))},
		{"stale_timestamp", form(signedAt(millis(now.Add(-301 * time.Second))))},
		{"stale_timestamp", form(signedAt(millis(now.Add(302 * time.Second))))},
		{"bad_timestamp", form(signedAt(millis(now) + "0"))},
		{"bad_timestamp", form(signedAt("+" + millis(now)[1:]))},
		{"bad_timestamp", form(signedAt("2026-11-23 10:00"))},
		{"bad_timestamp", form(signedAt(" " + millis(now)[:12]))},
		{"missing_app_key", form(with("app_key", ""))},
		{"missing_sign", post(t, "/token/get", formType, "app_key=demo-app&timestamp=1")},
		{"missing_app_key", post(t, "/token/get", "text/plain", asJSON(good))},
		{"repeated_app_key", post(t, "/token/get?app_key=demo-app", formType, good.Encode())},
		{"mistyped_app_key", post(t, "/token/get", jsonType, `{"app_key":1,"timestamp":1,"sign":"x"}`)},
		{"malformed", post(t, "/token/get", jsonType, asJSON(good)+"{}")},
		{"malformed", post(t, "/token/get", jsonType, asJSON(good)[1:])},
		{"malformed", post(t, "/token/get", formType, "app_key=%zz")},
		{"bad_method", bare(t, http.MethodPut, "/token/get?"+good.Encode())},
	} {
		t.Run(tc.outcome, func(t *testing.T) {
			s := provider.New(provider.Options{})
			r := serve(t, s, tc.request)
			if r.status != http.StatusOK || r.at(t, "code") != "401000" || r.at(t, "msg") != tc.outcome || r.at(t, "data") != "" {
				t.Errorf("answer: %d %s", r.status, r.body)
			}
			if e := last(s); e.Outcome != tc.outcome || e.Issued != "" {
				t.Errorf("ledger: %+v", e)
			}
		})
	}
}

func TestSignInRefusesWithAStatusAndOnceOnly(t *testing.T) {
	s := provider.New(provider.Options{AppKey: "k", AppSecret: "s", RefuseStatus: 401, RefuseReplay: true})
	ts := millis(time.Now())
	v := url.Values{"app_key": {"k"}, "timestamp": {ts}, "sign": {sign("k", ts, "s")}}
	if r := serve(t, s, post(t, "/token/get", formType, v.Encode())); r.at(t, "code") != "000000" {
		t.Fatalf("first: %s", r.body)
	}
	r := serve(t, s, post(t, "/token/get", formType, v.Encode()))
	if r.status != http.StatusUnauthorized || r.at(t, "msg") != "replayed" {
		t.Errorf("second: %d %s", r.status, r.body)
	}
}

func TestReplaysAreForgottenWithTheirWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toThePresent()
		s := provider.New(provider.Options{RefuseReplay: true})
		old := post(t, "/token/get", jsonType, asJSON(signed(time.Now())))
		serve(t, s, old)
		time.Sleep(301 * time.Second)
		signIn(t, s)
		serve(t, s, post(t, "/token/get", jsonType, asJSON(signed(time.Now().Add(-301*time.Second)))))
		if e := last(s); e.Outcome != "stale_timestamp" {
			t.Errorf("the old signature: %s", e.Outcome)
		}
	})
}

func TestRefreshTokensAreGoodForOneTime(t *testing.T) {
	for _, tc := range []struct {
		name     string
		options  provider.Options
		newDies  bool   // after the old refresh token was used again
		oldState string // of the access token that was replaced
	}{
		{"by default", provider.Options{}, false, "superseded"},
		{"revoking the family", provider.Options{RevokeFamily: true}, true, "superseded"},
		{"with an overlap", provider.Options{Overlap: time.Minute}, false, "live"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := provider.New(tc.options)
			other, _ := signIn(t, s)
			access1, refresh1 := signIn(t, s)
			r := renew(t, s, refresh1)
			access2, refresh2 := r.at(t, "data.access_token"), r.at(t, "data.refresh_token")
			if access2 == access1 || refresh2 == refresh1 || access2 == "" || refresh2 == "" {
				t.Fatalf("a new pair: %s", r.body)
			}
			query(t, s, access1)
			if e := last(s); e.TokenState != tc.oldState || e.Generation != 2 {
				t.Errorf("the old token: %+v", e)
			}
			if got := query(t, s, access2); got != "ok" {
				t.Errorf("the new token: %s", got)
			}

			if r := renew(t, s, refresh1); r.at(t, "code") != "401000" || r.at(t, "msg") != "reused_refresh_token" {
				t.Errorf("using it again: %s", r.body)
			}
			if dies := query(t, s, access2) != "ok"; dies != tc.newDies {
				t.Errorf("the new token died: %v", dies)
			}
			if refused := renew(t, s, refresh2).at(t, "code") != "000000"; refused != tc.newDies {
				t.Errorf("the new refresh token was refused: %v", refused)
			}
			if got := query(t, s, other); got != "ok" {
				t.Errorf("another family's token: %s", got)
			}
			if twice := s.Ledger().RefreshTokensUsedTwice(); !slices.Equal(twice, []string{refresh1}) {
				t.Errorf("used twice: %v", twice)
			}
		})
	}
}

func TestRefreshRefuses(t *testing.T) {
	s := provider.New(provider.Options{})
	_, refresh := signIn(t, s)
	for outcome, body := range map[string]string{
		"unknown_refresh_token":  `{"refresh_token":"nobody"}`,
		"missing_refresh_token":  `{}`,
		"mistyped_refresh_token": `{"refresh_token":12}`,
		"malformed":              `{"refresh_token":"` + refresh + `"`,
	} {
		serve(t, s, post(t, "/token/refresh", jsonType, body))
		if e := last(s); e.Outcome != outcome {
			t.Errorf("%s: %s", body, e.Outcome)
		}
	}
	if r := renew(t, s, refresh); r.at(t, "code") != "000000" {
		t.Errorf("after refusals: %s", r.body)
	}
}

func TestReusableRefreshTokens(t *testing.T) {
	s := provider.New(provider.Options{Seed: "seed-token", ReusableRefresh: true})
	first, second := renew(t, s, "seed-token"), renew(t, s, "seed-token")
	if first.at(t, "data.refresh_token") != "seed-token" || second.at(t, "data.refresh_token") != "seed-token" {
		t.Errorf("refresh tokens: %s %s", first.body, second.body)
	}
	if query(t, s, first.at(t, "data.access_token")) != "dead_token" || query(t, s, second.at(t, "data.access_token")) != "ok" {
		t.Error("the second token replaces the first")
	}
}

func TestASeedIsGoodForOneTime(t *testing.T) {
	s := provider.New(provider.Options{Seed: "seed-token"})
	if r := renew(t, s, "seed-token"); r.at(t, "code") != "000000" {
		t.Fatalf("first: %s", r.body)
	}
	if r := renew(t, s, "seed-token"); r.at(t, "msg") != "reused_refresh_token" {
		t.Errorf("second: %s", r.body)
	}
}

func TestAnExclusiveSignInKillsTheTokensBefore(t *testing.T) {
	s := provider.New(provider.Options{Exclusive: true})
	first, _ := signIn(t, s)
	second, _ := signIn(t, s)
	query(t, s, first)
	if e := last(s); e.TokenState != "superseded" {
		t.Errorf("first: %+v", e)
	}
	if got := query(t, s, second); got != "ok" {
		t.Errorf("second: %s", got)
	}
}

func TestLifetimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toThePresent()
		s := provider.New(provider.Options{Lifetime: time.Minute})
		short, _ := signIn(t, s)
		s.SetLifetime(time.Hour)
		long, _ := signIn(t, s)
		time.Sleep(time.Minute - time.Nanosecond)
		if got := query(t, s, short); got != "ok" {
			t.Errorf("just before: %s", got)
		}
		time.Sleep(time.Nanosecond)
		if got := query(t, s, short); got != "dead_token" || last(s).TokenState != "expired" {
			t.Errorf("at its end: %s %s", got, last(s).TokenState)
		}
		if got := query(t, s, long); got != "ok" {
			t.Errorf("the longer one: %s", got)
		}
		s.Expire()
		if query(t, s, long); last(s).TokenState != "expired" {
			t.Errorf("after Expire: %s", last(s).TokenState)
		}
	})
}

func TestExpiresIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toThePresent()
		at := strconv.FormatInt(time.Now().Add(90*time.Second).Unix(), 10)
		for form, want := range map[provider.ExpiresIn]string{
			provider.ExpiresNumber: `"expires_in":90,`,
			provider.ExpiresString: `"expires_in":"90",`,
			provider.ExpiresFloat:  `"expires_in":90.0,`,
			provider.ExpiresMillis: `"expires_in":90000,`,
			provider.ExpiresAt:     `"expires_in":` + at + `,`,
			provider.ExpiresAbsent: `{"access_token":`,
		} {
			s := provider.New(provider.Options{Lifetime: 90 * time.Second, ExpiresIn: form})
			r := serve(t, s, post(t, "/token/get", jsonType, asJSON(signed(time.Now()))))
			if !strings.Contains(r.body, want) || (form == provider.ExpiresAbsent && strings.Contains(r.body, "expires_in")) {
				t.Errorf("%s: %s", form, r.body)
			}
		}
	})
}

func TestTokenLength(t *testing.T) {
	s := provider.New(provider.Options{TokenLength: 4096})
	if access, _ := signIn(t, s); len(access) != 4096 || query(t, s, access) != "ok" {
		t.Errorf("a token of %d characters", len(access))
	}
}
