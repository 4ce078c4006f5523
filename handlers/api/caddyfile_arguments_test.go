package api

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

// Whatever stands behind `breaker`: it is one that can open and close, or an error
// that shows how to write it.
func FuzzBreakerArguments(f *testing.F) {
	for _, text := range []string{
		"50% 20 10s", "0% 20 10s", "150% 20 10s", "NaN% 20 10s", "-Inf% 20 10s", "1e-400% 1 1ns", "50 20 10s", "50% 0 10s", "50% 1.5 10s",
		"50% 20 0s", "50% 20 -1s", "50% 20 1d", "50% 20", "50% 20 10s 5", "\"\" \"\" \"\"", "50% 20 10s {\n}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte("breaker "+text), "Caddyfile")
		if err != nil || len(tokens) == 0 || tokens[0].Text != "breaker" {
			return
		}
		p := &parser{api: new(API)}
		p.Dispenser = caddyfile.NewDispenser(tokens)
		p.Next()
		if err := p.breaker(); err != nil {
			if !strings.Contains(err.Error(), "`breaker 50% 20 10s`") || !strings.Contains(err.Error(), "Caddyfile:") {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		b := p.api.Breaker
		if _, err := json.Marshal(b); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		synctest.Test(t, func(t *testing.T) {
			a := withBreaker(b.Share, min(b.Calls, 100), min(time.Duration(b.Open), time.Hour))
			for range min(b.Calls, 100) {
				ends(a, call.Timeout)
			}
			if ends(a, call.OK) {
				t.Fatalf("%q: it does not open", text)
			}
			time.Sleep(time.Hour + time.Second)
			if !ends(a, call.OK) || a.BreakerState() != "closed" {
				t.Fatalf("%q: it does not close", text)
			}
		})
	})
}
