package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// The access log tells how a call ended and how old its token was, also through
// the encoder that masks.
func TestAccessLogTellsOfTheCall(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: "log {\n format switchboard\n }\n" + orderBlock, more: "cache 1h"})
	url := caddy.URL("/ivr/order?tel=13800138000&call_id=c-")
	line := func(id string) string {
		found := ""
		harness.Eventually(t, 5*time.Second, "the line of "+id, func() bool {
			for text := range strings.Lines(caddy.Logs.String()) {
				if strings.Contains(text, "handled request") && strings.Contains(text, `"call_id":"c-`+id+`"`) {
					found = text
				}
			}
			return found != ""
		})
		return found
	}
	harness.Get(t, url+"one")
	got := line("one")
	for _, want := range []string{`"api":"order"`, `"outcome":"ok"`, `"cache":"miss"`, `"token_age":`} {
		if !strings.Contains(got, want) || strings.Contains(got, `"token_age":"`) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}
