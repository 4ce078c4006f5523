package provider

import (
	"slices"
	"testing"
	"time"
)

func TestTheLedgerIsARing(t *testing.T) {
	var l ledger
	first := Entry{Kind: API}
	l.begin(&first)
	for range ledgerSize + 2 {
		l.begin(&Entry{Kind: TokenGet})
	}
	first.Outcome = outcomeOK
	l.finish(&first) // it has long been overwritten
	es := l.entries()
	if len(es) != ledgerSize || es[0].Seq != 4 || es.Last() != ledgerSize+3 {
		t.Fatalf("%d entries from %d to %d", len(es), es[0].Seq, es.Last())
	}
	if !slices.IsSortedFunc(es, func(a, b Entry) int { return a.Seq - b.Seq }) || es.Count(API, "") != 0 {
		t.Error("the oldest entries should be gone, the others in order")
	}
}

func TestTheVaultForgetsTheOldest(t *testing.T) {
	v := newVault(Options{Lifetime: 1 << 40})
	start := time.Now()
	first := v.obtain(start, nil)
	second := v.obtain(start, nil)
	for range maxPairs - 1 {
		v.obtain(start, nil)
	}
	if state, _, _ := v.state(first.access, start); state != stateUnknown {
		t.Errorf("the oldest: %s", state)
	}
	if _, outcome := v.renew(first.refresh, start, nil); outcome != "unknown_refresh_token" {
		t.Errorf("its refresh token: %s", outcome)
	}
	if state, generation, _ := v.state(second.access, start); state != stateLive || generation != 2 {
		t.Errorf("the next: %s, generation %d", state, generation)
	}
}

func TestEntriesNarrowDown(t *testing.T) {
	es := Entries{
		{Seq: 1, Kind: TokenGet, Outcome: "ok", Issued: "a"},
		{Seq: 2, Kind: API, Outcome: "ok", Token: "a"},
		{Seq: 3, Kind: TokenRefresh, Outcome: "ok", RefreshToken: "r", Issued: "b"},
		{Seq: 4, Kind: OAuth2, Outcome: "invalid_grant", RefreshToken: "r"},
		{Seq: 5, Kind: API, Outcome: "dead_token", Token: "a"},
		{Seq: 6, Kind: API, Outcome: "ok", Token: "b"},
	}
	for name, got := range map[string][2][]string{
		"tokens":     {es.Tokens(), {"a", "b"}},
		"issued":     {es.Issued(), {"a", "b"}},
		"used twice": {es.RefreshTokensUsedTwice(), {"r"}},
	} {
		if !slices.Equal(got[0], got[1]) {
			t.Errorf("%s: %v", name, got[0])
		}
	}
	for name, got := range map[string][2]int{
		"token calls": {len(es.TokenCalls()), 3},
		"since":       {len(es.Since(4)), 2},
		"outcome":     {len(es.Kind(API).Outcome("ok")), 2},
		"count":       {es.Count(API, "dead_token"), 1},
		"last":        {es.Last(), 6},
		"none":        {Entries{}.Last(), 0},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %d, not %d", name, got[0], got[1])
		}
	}
}
