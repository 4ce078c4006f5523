package integration

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/kamailio"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// Each phone system gets what it can read, by one line of the route, whatever
// the API answers.
func TestForAPhoneSystem(t *testing.T) {
	api := startProvider(t, provider.Options{})
	route := func(system, lines string) string {
		return "api /" + system + " " + system + " {\n to {API}/free/echo\n query `{q: .q}`\n output `{\n name: .rawquery, say: $params.say, deep: {list: [1, true, null]}, pad: (\"x\" * ($params.n // \"0\" | tonumber))\n }`\n" +
			" default `{name: \"\", say: \"\"}`\n for " + system + "\n" + lines + "\n}\n"
	}
	var site strings.Builder
	for _, system := range []string{"asterisk", "kamailio", "twilio", "talkdesk", "genesys", "connect", "pbx"} {
		site.WriteString(route(system, ""))
	}
	site.WriteString("api /events events {\n to {API}/free/stream\n default `{say: \"\"}`\n for kamailio\n}\n" +
		"api /late late {\n to {API}/free/echo\n for kamailio\n budget 4s\n}\n")
	caddy := start(t, api, setup{tokens: "\n phone_system pbx {\n format form\n limit 200B\n field_limit 50B\n filter dollar\n }", site: site.String()})

	for _, tc := range []struct{ path, want string }{
		{`asterisk?q=1&say=x%22+%26+%221%0d%0aok`, `{"_status":"ok","deep_list_1":"1","deep_list_2":"true","deep_list_3":"","deep_list_count":"3","name":"q=1","pad":"","say":"x' & '1  ok"}`},
		{`kamailio?q=1&say=$var(x)`, `{"_status":"ok","deep_list_1":"1","deep_list_2":"true","deep_list_3":"","deep_list_count":"3","name":"q=1","pad":"","say":"＄var(x)"}`},
		{`twilio?q=1&say=$`, `{"_status":"ok","deep":{"list":[1,true,null]},"name":"q=1","pad":"","say":"$"}`},
		{`talkdesk?q=1&say=$`, `{"_status":"ok","deep":{"list":[1,true,""]},"name":"q=1","pad":"","say":"$"}`},
		{`pbx?q=1&say=$a`, `_status=ok&deep_list_1=1&deep_list_2=true&deep_list_3=&deep_list_count=3&name=q%3D1&pad=&say=%EF%BC%84a`},
		{`pbx?q=1&n=51`, `_status=too_large&name=&say=`},
		{`asterisk?q=1&n=5000`, `{"_status":"too_large","name":"","say":""}`},
		{`events`, `{"_status":"bad_answer","say":""}`},
		{`kamailio?q=1&n=9000`, `{"_status":"too_large","name":"","say":""}`},
	} {
		if got := harness.Get(t, caddy.URL("/"+tc.path)); got.Status != 200 || got.Body != tc.want {
			t.Errorf("%s:\ngot  %d %s\nwant %s", tc.path, got.Status, got.Body, tc.want)
		}
	}
	t.Run("warnings", func(t *testing.T) {
		for _, want := range []string{
			`gives up before the budget ends; write a shorter budget, or none","api":"late","for":"kamailio"`,
			`there is no default to use instead; write ` + "`default `{…}``" + `","api":"late","for":"kamailio"`,
		} {
			if !strings.Contains(caddy.Logs.String(), want) {
				t.Errorf("the log doesn't say %s", want)
			}
		}
		if strings.Contains(caddy.Logs.String(), `none","api":"kamailio"`) {
			t.Error("a warning about the system's own budget")
		}
	})
	t.Run("errors", func(t *testing.T) {
		got := harness.Get(t, caddy.URL("/asterisk?q=%ff"))
		if got.Status != 400 || strings.Contains(got.Body, `\"`) {
			t.Errorf("got %d %s", got.Status, got.Body)
		}
	})
	t.Run("failures", func(t *testing.T) {
		api.Stop()
		for system, want := range map[string]int{"asterisk": 200, "kamailio": 200, "connect": 200, "talkdesk": 200, "pbx": 200, "twilio": 502, "genesys": 502} {
			if got := harness.Get(t, caddy.URL("/"+system+"?q=1")); got.Status != want {
				t.Errorf("%s: got %d %s, want %d", system, got.Status, got.Body, want)
			}
		}
	})
}

// A lookup with a caller on the line has the same fields in every answer, takes
// nobody for another, and answers when it can't.
func TestALookupForAPhoneSystem(t *testing.T) {
	caddy := harness.Start(t, harness.Config{Caddyfile: `{
	admin {ADMIN}
	switchboard {
		customers sqlite {DIR}/c.db
		region CN
	}
}
http://localhost:{PORT} {
	bind 127.0.0.1
	customer_lookup /asterisk {
		auth none
		fields id nick
		for asterisk
		status_field _status
	}
	customer_lookup /newest {
		auth none
		fields id nick
		for asterisk
		multiple newest
		not_found null
		format json
	}
}
`})
	for id, nick := range map[string]string{"C1": `x\" & \"1`, "C2": "Bea"} {
		req := harness.Request(t, "PUT", "http://"+caddy.Admin+"/switchboard/customers/"+id, "application/json", `{"nick":"`+nick+`","tel":"13800138000","email":"`+id+`@example.com"}`)
		if got := harness.Do(t, req); got.Status != 200 {
			t.Fatalf("got %d %s", got.Status, got.Body)
		}
	}
	for path, want := range map[string]string{
		"asterisk?email=c1@example.com": `{"_status":"ok","id":"C1","nick":"x' & '1"}`,
		"asterisk?tel=13800138000":      `{"_status":"ambiguous","id":"","nick":""}`,
		"asterisk?tel=13900139000":      `{"_status":"not_found","id":"","nick":""}`,
		"newest?tel=13900139000":        `null`,
	} {
		if got := harness.Get(t, caddy.URL("/"+path)); got.Status != 200 || got.Body != want {
			t.Errorf("%s: got %d %s, want %s", path, got.Status, got.Body, want)
		}
	}
	var found map[string]string
	if got := harness.Get(t, caddy.URL("/newest?tel=13800138000")); json.Unmarshal([]byte(got.Body), &found) != nil || found["id"] == "" {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
}

// flow is a real Kamailio that asks the order API of caddy.
func flow(t *testing.T, caddy *harness.Caddy) *kamailio.Proxy {
	t.Helper()
	proxy, err := kamailio.Start(t.Context(), caddy.URL("/ivr/order"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return proxy
}

// hangHalfTheTime lets the API hang for a while, answer for as long, and so on,
// until the function that it returns is called.
func hangHalfTheTime(api *provider.Server) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(1500 * time.Millisecond)
		defer tick.Stop()
		for hang := true; ; hang = !hang {
			api.ClearFaults()
			if hang {
				_ = api.Inject(provider.Fault{Target: provider.API, Fault: "hang"})
			}
			select {
			case <-tick.C:
			case <-done:
				api.ClearFaults()
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// 500 calls come by way of a real Kamailio while the API hangs half of the time.
// With older answers at hand, nobody waits, and every caller gets to the right
// queue.
func TestNoCallerHearsSilence(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: strings.Replace(orderBlock, "budget 2s", "for kamailio\n cache 1s {\n stale 1m 1h\n }", 1)})
	harness.Get(t, caddy.URL("/ivr/order?tel=13800138000"))
	proxy := flow(t, caddy)
	stop := hangHalfTheTime(api)
	const calls = 500
	result, err := proxy.Call(t.Context(), kamailio.Calls{Count: calls, Rate: 50, Queue: kamailio.VIPQueue, Timeout: 2 * time.Minute})
	stop()
	if err != nil {
		t.Fatal(err)
	}
	if result.Succeeded != calls || result.Failed != 0 || result.Outcomes["ok"]+result.Outcomes["stale"] != calls {
		t.Errorf("got %d, failed %d, %v\n%s", result.Succeeded, result.Failed, result.Outcomes, result.Errors)
	}
	if result.Outcomes["stale"] == 0 {
		t.Error("no answer was an older one: the API did not hang long enough for a test")
	}
	if slowest := result.Times[len(result.Times)-1]; slowest >= 3*time.Second {
		t.Errorf("the slowest call took %v", slowest)
	}
}

// The same without a cache: who asks while the API hangs is sent where the
// default says, before Kamailio gives up, and everybody else where the API says.
// What the API has seen tells which call is which.
func TestNoCallerHearsSilenceWithoutACache(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: strings.Replace(orderBlock, "budget 2s", "for kamailio", 1)})
	harness.Get(t, caddy.URL("/ivr/order?tel=13800138000"))
	proxy := flow(t, caddy)
	answered := map[string]kamailio.Ended{}
	callers := []string{"13800138000", "13900139000", "13600136000", "10000000000"}
	for i, caller := range callers {
		answered[caller] = kamailio.Ended{
			Caller:  caller,
			Outcome: []string{"ok", "ok", "ok", "not_found"}[i],
			Queue:   []string{kamailio.VIPQueue, kamailio.NormalQueue, kamailio.VIPQueue, kamailio.NormalQueue}[i],
		}
	}
	before := len(api.Ledger())
	stop := hangHalfTheTime(api)
	const calls = 500
	result, err := proxy.Call(t.Context(), kamailio.Calls{
		Count: calls, Rate: 20, Callers: callers, Queue: kamailio.AnyQueue, Timeout: 2 * time.Minute,
	})
	stop()
	if err != nil {
		t.Fatal(err)
	}
	if result.Succeeded != calls || result.Failed != 0 {
		t.Errorf("%d calls, %d failed\n%s", result.Succeeded, result.Failed, result.Errors)
	}
	want := map[kamailio.Ended]int{}
	hung := 0
	for _, entry := range api.Ledger()[before:].Kind(provider.API) {
		caller := strings.TrimPrefix(entry.Query, "tel=")
		if entry.Fault == "hang" {
			hung++
			want[kamailio.Ended{Caller: caller, Outcome: "timeout", Queue: kamailio.NormalQueue}]++
		} else {
			want[answered[caller]]++
		}
	}
	got := map[kamailio.Ended]int{}
	for _, ended := range result.Ended {
		got[ended]++
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if hung < calls/5 || hung > calls*4/5 {
		t.Errorf("the API hung in %d of %d calls, which is not half of the time", hung, calls)
	}
	// Kamailio's 4 s are kept, or calls would have failed; what is more is the
	// time that a busy machine takes to get to a call.
	if slowest := result.Times[len(result.Times)-1]; slowest < 3*time.Second || slowest >= 6*time.Second {
		t.Errorf("the slowest call took %v; the budget is 3 s", slowest)
	}
}
