package kamailio_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/kamailio"
	"github.com/switchboard-ivr/switchboard/internal/answer"
)

// padded is an answer of n bytes.
func padded(n int) string {
	const form = `{"_status":"ok","pad":"%s","vip":"1"}`
	return fmt.Sprintf(form, strings.Repeat("x", n-len(form)+2))
}

// What the phone system `kamailio` says of itself is so: this Kamailio reads one
// line of as many bytes, waits as long, drops the body of an error, and
// evaluates a $ where the flow forgets the quotes.
func TestWhatIsSaidOfKamailio(t *testing.T) {
	system, err := answer.FindSystem("kamailio")
	if err != nil {
		t.Fatal(err)
	}
	const dollar = `{"_status":"ok","name":"$var(url)$x","vip":"1"}`
	answers := map[string]string{
		"1": padded(system.Limit), "2": padded(system.Limit + 1),
		"3": "{\n" + padded(100)[1:], "4": padded(100) + "\nmore", "5": dollar,
	}
	waited := make(chan time.Duration, 1)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch tel := r.URL.Query().Get("tel"); tel {
		case "500":
			http.Error(w, padded(100), http.StatusInternalServerError)
		case "hang":
			begin := time.Now()
			<-r.Context().Done()
			waited <- time.Since(begin)
		default:
			_, _ = fmt.Fprint(w, answers[tel])
		}
	}))
	t.Cleanup(api.Close)
	start := func(t *testing.T) *kamailio.Proxy {
		t.Helper()
		p, err := kamailio.Start(t.Context(), api.URL, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		})
		return p
	}
	ends := func(t *testing.T, p *kamailio.Proxy, caller, outcome, queue string) {
		t.Helper()
		r, err := p.Call(t.Context(), kamailio.Calls{Caller: caller, Queue: kamailio.AnyQueue})
		if err != nil {
			t.Fatal(err)
		}
		if want := (kamailio.Ended{Caller: caller, Outcome: outcome, Queue: queue}); len(r.Ended) != 1 || r.Ended[0] != want {
			t.Errorf("got %+v, want %+v\n%s", r, want, p.Log())
		}
	}
	p := start(t)
	for name, test := range map[string]struct{ caller, outcome, queue string }{
		"as long as the limit":   {"1", "ok", kamailio.VIPQueue},
		"a byte more is nothing": {"2", "", kamailio.NormalQueue},
		"the first line alone":   {"3", "", kamailio.NormalQueue},
		"a whole first line":     {"4", "ok", kamailio.VIPQueue},
		"a $ within the quotes":  {"5", "ok", kamailio.VIPQueue},
	} {
		t.Run(name, func(t *testing.T) { ends(t, p, test.caller, test.outcome, test.queue) })
	}
	t.Run("the body of an error is dropped", func(t *testing.T) {
		r, err := p.Call(t.Context(), kamailio.Calls{Caller: "500"})
		if err != nil || r.Failed != 1 || !strings.Contains(r.Errors, "480 Temporarily Unavailable") || !strings.Contains(r.Errors, "none 500") {
			t.Errorf("got %+v %v", r, err)
		}
	})
	t.Run("as long as it waits", func(t *testing.T) {
		r, err := p.Call(t.Context(), kamailio.Calls{Caller: "hang"})
		if err != nil || r.Failed != 1 || !strings.Contains(r.Errors, "480 Temporarily Unavailable") {
			t.Errorf("got %+v %v", r, err)
		}
		if took := <-waited; took < system.Wait-100*time.Millisecond || took > system.Wait+time.Second {
			t.Errorf("it waited %v, said are %v", took, system.Wait)
		}
	})
	t.Run("a $ without quotes", func(t *testing.T) {
		kamailio.Change(t, `"$var(answer)", "$var(vip)"`, `$var(answer), "$var(vip)"`)
		ends(t, start(t), "5", "ok", kamailio.NormalQueue) // and nobody is told
	})
}
