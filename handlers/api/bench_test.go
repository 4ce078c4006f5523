package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/module/span"
)

// reply is a guest that answers as an API does, without a connection.
type reply struct {
	Type string `json:"type,omitempty"` // default: application/json
	Body string `json:"body,omitempty"` // default: orderAnswer
}

const orderAnswer = `{"code":"000000","msg":"success","data":{"orderId":9007199254740993,"amount":1.10,"currency":"CNY",` +
	`"status":"shipped","paid":true,"cancelled":false,"coupon":null,"id":"C1001","tel":"13800138000","nick":"Ann","isVip":"1",` +
	`"level":"gold","city":"Dalian","items":[{"sku":"A-1001","title":"wireless headset","quantity":1,"price":0.60,"tags":["audio","new"]},` +
	`{"sku":"B-2002","title":"USB cable, 1 m","quantity":2,"price":0.25,"tags":[]}],"shipping":{"carrier":"SF Express",` +
	`"number":"SF1234567890123","address":{"city":"Dalian","street":"1 Jianguo Road","postcode":"100000"}},` +
	`"history":[{"at":1656143373000,"event":"created"},{"at":1656146973000,"event":"paid"},{"at":1656233373000,"event":"shipped"}]}}`

func init() { caddy.RegisterModule(reply{}) }

func (reply) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_reply", New: func() caddy.Module { return new(reply) }}
}

func (g *reply) ServeHTTP(w http.ResponseWriter, _ *http.Request, _ caddyhttp.Handler) error {
	w.Header()["Content-Type"] = []string{cmp.Or(g.Type, "application/json")}
	w.WriteHeader(http.StatusOK)
	_, err := io.WriteString(w, cmp.Or(g.Body, orderAnswer))
	return err
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// replying is an API whose answer comes from reply.
func replying(b *testing.B, more ...func(*API)) *API {
	b.Helper()
	a := &API{
		Name: "order", To: "http://127.0.0.1:1/order", Method: "GET",
		Query: "{tel: .tel}", Success: `.code == "000000"`, NotFound: ".data == null",
		Output:    "{name: .data.nick, vip: .data.isVip, order: .data.orderId}",
		Default:   `{name: "", vip: "2", order: ""}`,
		HandleRaw: []json.RawMessage{json.RawMessage(`{"handler":"test_reply"}`)},
	}
	for _, set := range more {
		set(a)
	}
	provisioned(b, a)
	return a
}

// BenchmarkCall is everything that a call costs besides the exchange itself.
func BenchmarkCall(b *testing.B) {
	a := replying(b)
	original := httptest.NewRequest(http.MethodGet, "http://localhost/order?tel=13800138000", nil)
	b.ReportAllocs()
	for b.Loop() {
		w := discard{make(http.Header)}
		r := caddyhttp.PrepareRequest(original, caddy.NewReplacer(), w, new(caddyhttp.Server))
		if err := a.ServeHTTP(w, r, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHit is a call that the cache answers.
func BenchmarkHit(b *testing.B) {
	a := replying(b, func(a *API) { a.Cache = &endpoint.Cache{Fresh: caddy.Duration(time.Hour)} })
	original := httptest.NewRequest(http.MethodGet, "http://localhost/order?tel=13800138000", nil)
	ask := func() (cacheStatus string) {
		w := discard{make(http.Header)}
		r := caddyhttp.PrepareRequest(original, caddy.NewReplacer(), w, new(caddyhttp.Server))
		if err := a.ServeHTTP(w, r, nil); err != nil {
			b.Fatal(err)
		}
		return w.header.Get("Cache-Status")
	}
	for !strings.Contains(ask(), "hit") { // the cache takes an answer in by and by
		continue
	}
	b.ReportAllocs()
	for b.Loop() {
		ask()
	}
}

// BenchmarkXML is a call whose answer is 100 KB of XML, and the same content as
// JSON: with programs that look at all rows, and at none.
func BenchmarkXML(b *testing.B) {
	var rows, objects []string
	for i := range 430 {
		rows = append(rows, fmt.Sprintf(`
      <Order id="%d">
        <Number>A-%06d</Number><Status>shipped</Status><Amount>%d.50</Amount>
        <Customer><Name>张伟 &amp; Söhne</Name><Tel>+8613800138000</Tel></Customer>
        <Note/>
      </Order>`, i, i, i))
		objects = append(objects, fmt.Sprintf(`
      {"@id":"%d",
        "Number":"A-%06d","Status":"shipped","Amount":"%d.50",
        "Customer":{"Name":"张伟 \u0026 Söhne","Tel":"+8613800138000"},
        "Note":""
      }`, i, i, i))
	}
	bodies := map[string]string{
		"text/xml":         "<Envelope>\n  <Body>\n    <Code>0</Code>\n    <Orders>" + strings.Join(rows, "") + "\n    </Orders>\n  </Body>\n</Envelope>",
		"application/json": `{"Envelope":{"Body":{"Code":"0","Orders":{"Order":[` + strings.Join(objects, ",") + `]}}}}`,
	}
	for _, output := range []struct{ name, program string }{
		{"all", `.Envelope.Body.Orders.Order | {count: length, number: .[0].Number}`},
		{"none", `{count: "1", number: .Envelope.Body.Code}`},
	} {
		for _, kind := range []string{"text/xml", "application/json"} {
			b.Run(output.name+"/"+path.Base(kind), func(b *testing.B) {
				guest, err := json.Marshal(map[string]string{"handler": "test_reply", "type": kind, "body": bodies[kind]})
				if err != nil {
					b.Fatal(err)
				}
				a := replying(b, func(a *API) {
					a.Success, a.NotFound, a.Output, a.Default = `.Envelope.Body.Code == "0"`, "", output.program, `{count: "", number: ""}`
					a.HandleRaw = []json.RawMessage{guest}
				})
				original := httptest.NewRequest(http.MethodGet, "http://localhost/order?tel=13800138000", nil)
				b.SetBytes(int64(len(bodies[kind])))
				b.ReportAllocs()
				for b.Loop() {
					w := discard{make(http.Header)}
					r := caddyhttp.PrepareRequest(original, caddy.NewReplacer(), w, new(caddyhttp.Server))
					if err := a.ServeHTTP(w, r, nil); err != nil || !strings.Contains(w.header.Get("Proxy-Status"), `details="ok"`) {
						b.Fatal(w.header, err)
					}
				}
			})
		}
	}
}

// BenchmarkPrepare is the part of BenchmarkCall that is Caddy's own.
func BenchmarkPrepare(b *testing.B) {
	original := httptest.NewRequest(http.MethodGet, "http://localhost/order?tel=13800138000", nil)
	b.ReportAllocs()
	for b.Loop() {
		w := discard{make(http.Header)}
		_ = caddyhttp.PrepareRequest(original, caddy.NewReplacer(), w, new(caddyhttp.Server))
	}
}

// BenchmarkUntraced is what traces, spans and kept answers cost a call that nobody
// watches: a part of BenchmarkCall.
func BenchmarkUntraced(b *testing.B) {
	a := replying(b)
	w := discard{make(http.Header)}
	r := caddyhttp.PrepareRequest(httptest.NewRequest(http.MethodGet, "http://localhost/order", nil), caddy.NewReplacer(), w, new(caddyhttp.Server))
	c := a.begin(w, r)
	c.call.Outcome = call.OK
	b.ReportAllocs()
	for b.Loop() {
		_, whole := span.Start(c.call.R.Context(), span.Call, false) // as Begin does
		_, wait := span.Start(c.call.Ctx, span.Token, false)
		_, upstream := span.Start(c.call.Ctx, span.Upstream, true)
		_, shape := span.Start(c.call.R.Context(), span.Shape, false)
		c.keepSample()
		c.recordSteps()
		for _, s := range []span.Span{shape, upstream, wait, whole} {
			s.End()
		}
	}
}
