package integration

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

const (
	soapFault = `<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><soap:Fault>` +
		`<faultcode>soap:Client</faultcode><faultstring>no such account</faultstring></soap:Fault></soap:Body></soap:Envelope>`
	shipped = `<o:Order id="1"><o:Number>A-1</o:Number><o:Status>已发货 &amp; paid</o:Status></o:Order>`
	packed  = `<o:Order id="2"><o:Number>A-2</o:Number><o:Status>packed</o:Status></o:Order>`
)

func soapOrders(orders string) string {
	return `<?xml version="1.0" encoding="utf-8"?>
<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:o="urn:example:orders">
  <soap:Body><o:GetOrdersResponse><o:Orders>` + orders + `</o:Orders></o:GetOrdersResponse></soap:Body>
</soap:Envelope>`
}

// soapService answers as the last digits of the number say, and only requests that
// are what SOAP 1.1 wants: anything else is a 400.
type soapService struct {
	t       *testing.T
	answers map[string]soapAnswer

	mu   sync.Mutex
	note string // of the last request, as XML reads it
}

type soapAnswer struct {
	status            int
	contentType, body string
}

func (s *soapService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request struct {
		XMLName xml.Name `xml:"http://schemas.xmlsoap.org/soap/envelope/ Envelope"`
		Tel     string   `xml:"Body>GetOrders>Tel"`
		Note    string   `xml:"Body>GetOrders>Note"`
	}
	if err == nil {
		err = xml.Unmarshal(body, &request)
	}
	answer, known := s.answers[request.Tel]
	switch {
	case err != nil, !strings.HasPrefix(string(body), "<?xml"), r.Method != http.MethodPost, r.URL.Path != "/services/orders",
		r.Header.Get("Content-Type") != "text/xml; charset=utf-8", r.Header.Get("Soapaction") != `"urn:example:orders/GetOrders"`,
		!strings.Contains(r.Header.Get("Accept"), "text/xml"):
		s.t.Errorf("not a SOAP request: %v, %v\n%s", err, r.Header, body)
		w.WriteHeader(http.StatusBadRequest)
		return
	case !known:
		s.t.Errorf("nobody has the number %q", request.Tel)
	}
	s.mu.Lock()
	s.note = request.Note
	s.mu.Unlock()
	w.Header().Set("Content-Type", answer.contentType)
	w.WriteHeader(answer.status)
	_, _ = io.WriteString(w, answer.body)
}

// The recipe for SOAP, from the flow's request to its answer, for Asterisk.
func TestSOAP(t *testing.T) {
	const utf8 = "text/xml; charset=utf-8"
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(soapOrders(shipped))
	if err != nil {
		t.Fatal(err)
	}
	bomb := `<!DOCTYPE b [<!ENTITY a "ha">` + strings.Repeat(`<!ENTITY b "&a;&a;">`, 10) + `]>`
	cases := []struct {
		name, tel string
		answer    soapAnswer
		want      string // of what the flow gets
		reason    string
	}{
		{"one order", "+8613800138001", soapAnswer{200, utf8, soapOrders(shipped)}, `{"_status":"ok","count":"1","number":"A-1","status":"已发货 & paid"}`, ""},
		{"several orders", "+8613800138002", soapAnswer{200, utf8, soapOrders(shipped + "\n" + packed)}, `{"_status":"ok","count":"2","number":"A-1","status":"已发货 & paid"}`, ""},
		{"no orders", "+8613800138003", soapAnswer{200, utf8, soapOrders("")}, `{"_status":"not_found","count":"0","number":"","status":""}`, ""},
		{"a fault", "+8613800138004", soapAnswer{500, utf8, soapFault}, `{"_status":"rejected","count":"0","number":"","status":""}`, "the API rejected the request: status 500"},
		{"a fault with 200", "+8613800138005", soapAnswer{200, utf8, soapFault}, `{"_status":"rejected","count":"0","number":"","status":""}`, "the API rejected the request: status 200"},
		{"another document", "+8613800138006", soapAnswer{200, utf8, `<Envelope><Body><Other/></Body></Envelope>`}, `{"_status":"rejected","count":"0","number":"","status":""}`, "the API rejected the request: status 200"},
		{"GBK by Content-Type", "+8613800138007", soapAnswer{200, "text/xml; charset=GBK", gbk}, `{"_status":"ok","count":"1","number":"A-1","status":"已发货 & paid"}`, ""},
		{"GBK by its declaration", "+8613800138008", soapAnswer{200, "text/xml", strings.Replace(gbk, "utf-8", "GBK", 1)}, `{"_status":"ok","count":"1","number":"A-1","status":"已发货 & paid"}`, ""},
		{"GBK that nobody declares", "+8613800138009", soapAnswer{200, "text/xml", gbk}, "", "the answer can't be read: not UTF-8"},
		{"called something else", "+8613800138010", soapAnswer{200, "text/plain", soapOrders(shipped)}, `{"_status":"ok","count":"1","number":"A-1","status":"已发货 & paid"}`, ""},
		{"a proxy's page", "+8613800138011", soapAnswer{502, "text/html", "<html><body>Bad Gateway</body></html>"}, `{"_status":"failed","count":"0","number":"","status":""}`, "the API is failing: HTML, status 502"},
		{"a page that says 200", "+8613800138012", soapAnswer{200, "text/html", "<!DOCTYPE html><html><p>Sign in</html>"}, "", "the answer can't be read: HTML, status 200"},
		{"JSON", "+8613800138013", soapAnswer{200, "application/json", `{"Envelope":{}}`}, "", "the answer can't be read: JSON, where `answer` says xml, status 200"},
		{"a bomb", "+8613800138014", soapAnswer{200, utf8, bomb + "<b>" + strings.Repeat("&b;", 1000) + "</b>"}, "", "the answer can't be read: XML with a document type declaration, which is not accepted, status 200"},
		{"an external entity", "+8613800138015", soapAnswer{200, utf8, `<!DOCTYPE b [<!ENTITY x SYSTEM "file:///etc/passwd">]><b>&x;</b>`}, "", "the answer can't be read: XML with a document type declaration"},
		{"a DTD elsewhere", "+8613800138016", soapAnswer{200, utf8, `<!DOCTYPE b SYSTEM "http://127.0.0.1:1/b.dtd"><b/>`}, "", "the answer can't be read: XML with a document type declaration"},
		{"an entity of its own", "+8613800138017", soapAnswer{200, utf8, soapOrders("&x;")}, "", "the answer can't be read: XML with an entity of its own"},
		{"mismatched tags", "+8613800138018", soapAnswer{200, utf8, soapOrders("<a><b></a></b>")}, "", "the answer can't be read: XML with an end tag that doesn't match its start tag"},
		{"cut off", "+8613800138019", soapAnswer{200, utf8, soapOrders(shipped)[:300]}, "", "the answer can't be read: XML that ends too early"},
		{"an attribute of 1 MB", "+8613800138020", soapAnswer{200, utf8, soapOrders(`<a b="` + strings.Repeat("b", 1_000_000) + `"/>`)}, "", "the answer can't be read: XML with an attribute of more than 64 KiB"},
		{"too deep", "+8613800138021", soapAnswer{200, utf8, soapOrders(strings.Repeat("<a>", 10_000) + strings.Repeat("</a>", 10_000))}, "", "the answer can't be read: XML with more than 256 nested elements"},
		{"a million elements", "+8613800138022", soapAnswer{200, utf8, "<a>" + strings.Repeat("<b/>", 250_000) + "</a>"}, `{"_status":"rejected","count":"0","number":"","status":""}`, ""},
	}
	service := &soapService{t: t, answers: map[string]soapAnswer{}}
	for _, tc := range cases {
		service.answers[tc.tel] = tc.answer
	}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	example, err := os.ReadFile(filepath.Join(harness.Root(t), "caddyfile-examples", "soap.Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("{$ERP_URL:https://erp.example.com}", server.URL, "{$IVR_PORT:8080}", "{PORT}", "admin off", "admin {ADMIN}").Replace(string(example))
	caddy := harness.Start(t, harness.Config{Caddyfile: config})

	const note = `a < b && "c" > 'd' ]]> <!-- ä 中 -->`
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if tc.want == "" {
				tc.want = `{"_status":"bad_answer","count":"0","number":"","status":""}`
			}
			form := "tel=" + strings.ReplaceAll(tc.tel, "+", "%2B") + "&note=" + strings.NewReplacer("%", "%25", "&", "%26", "+", "%2B").Replace(note)
			got := harness.Do(t, harness.Request(t, "POST", caddy.URL("/ivr/orders"), "application/x-www-form-urlencoded", form))
			if got.Status != 200 || got.Body != tc.want {
				t.Errorf("got %d %s\nwant %s", got.Status, got.Body, tc.want)
			}
			if service.mu.Lock(); service.note != note {
				t.Errorf("the note arrived as %q", service.note)
			}
			service.mu.Unlock()
			if tc.reason == "" {
				return
			}
			if out, err := caddy.Command("switchboard", "last", "orders", "--address", caddy.Admin); err != nil || !strings.Contains(out, tc.reason) {
				t.Errorf("%v: last doesn't say %q:\n%s", err, tc.reason, out)
			}
		})
	}
	t.Run("memory", func(t *testing.T) {
		if _, peak, err := caddy.RSS(); err != nil || peak > 400<<20 {
			t.Errorf("%d MiB, %v", peak>>20, err)
		}
	})
	t.Run("test shows what the programs see", func(t *testing.T) {
		out, err := caddy.Command("switchboard", "test", "orders", "tel=+8613800138001", "--no-cache", "--json", "--address", caddy.Admin)
		if err != nil || !strings.Contains(out, `"GetOrdersResponse"`) || strings.Contains(out, "o:Order") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// How answers are read, by the line `answer` and by Content-Type.
func TestAnswerEncodings(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.URL.Path]++
		times := asked[r.URL.Path]
		mu.Unlock()
		kind, body := r.URL.Query().Get("type"), r.URL.Query().Get("body")
		switch r.URL.Path {
		case "/expired": // by its first answer, which is no JSON and has no length
			if kind, body = "text/xml", "<r><code>0</code></r>"; times == 1 {
				body = "<r><code>expired</code></r>"
			}
			w.Header().Set("Content-Type", kind)
			w.(http.Flusher).Flush()
		case "/echo": // repeats the token, as XML writes it
			kind, body = "text/xml", "<r><code>"+strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))+"</code></r>"
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("X-Accept", r.Header.Get("Accept"))
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	api := startProvider(t, provider.Options{})
	var site strings.Builder
	for name, lines := range map[string]string{
		"default":  "output `{v: .}`",
		"json":     "answer json\n output `{v: .}`",
		"xml":      "answer xml {\n list r/i\n }\n output `{v: ., accept: $headers[\"x-accept\"]}`",
		"form":     "answer form\n output `{v: ., accept: $headers[\"x-accept\"]}`",
		"text":     "answer text\n output `{v: .}`",
		"bare":     "answer xml",
		"asitis":   "",
		"expired":  "token crm\n auth none\n token_expired `.r.code == \"expired\"`\n output `{v: .r.code}`",
		"echo":     "token awkward\n auth none\n output `{v: .r.code}`",
		"onlytext": "answer text\n default `{v: \"\"}`\n output `{v: .}`\n format text\n status_field off",
	} {
		path := "/" + name
		site.WriteString("api " + path + " " + name + " {\n to " + server.URL + path + "\n method GET\n query `{type, body}`\n" + lines + "\n}\n")
	}
	caddy := start(t, api, setup{site: site.String(), tokens: "\n token awkward {\n static {env.AWKWARD}\n inject header Authorization \"Bearer {token}\"\n }", env: []string{"AWKWARD=a&b<c-0123456789"}})

	const form = "application/x-www-form-urlencoded"
	for _, tc := range []struct{ name, api, kind, body, want string }{
		{"XML by Content-Type", "default", "application/xml", `<r a="1"><i>x</i></r>`, `{"v":{"r":{"@a":"1","i":"x"}}}`},
		{"XML of a kind", "default", "application/vnd.x+xml; charset=utf-8", `<r/>`, `{"v":{"r":""}}`},
		{"a form by Content-Type", "default", form, "a=1&b=%E5%BC%A0&b=2", `{"v":{"a":"1","b":["张","2"]}}`},
		{"JSON called XML", "default", "text/xml", `{"a":1}`, `{"v":{"a":1}}`},
		{"JSON called a form", "default", form, `{"a":1}`, `{"v":{"a":1}}`},
		{"XML called text", "default", "text/plain", `<r/>`, "bad_answer: XML"},
		{"a page called XML", "default", "application/xhtml+xml", `<!DOCTYPE html><html/>`, "bad_answer: HTML"},
		{"xml by its line", "xml", "text/plain", `<x:r xmlns:x="urn:x"><x:i>1</x:i></x:r>`, `{"accept":"text/xml, application/xml, application/soap+xml","v":{"r":{"i":["1"]}}}`},
		{"xml without any", "xml", "text/plain", `<r/>`, `{"accept":"text/xml, application/xml, application/soap+xml","v":{"r":{"i":[]}}}`},
		{"xml that is JSON", "xml", "application/json", `{}`, "bad_answer: JSON, where `answer` says xml"},
		{"json that is XML", "json", "text/xml", `<r/>`, "bad_answer: XML, where `answer` says json"},
		{"form by its line", "form", "text/html", "a=1", `{"accept":"*/*","v":{"a":"1"}}`},
		{"a broken form", "form", form, "a=%z", "bad_answer: a form that is broken"},
		{"text by its line", "text", "application/json", " OK 1\n", `{"v":"OK 1"}`},
		{"text that is a page", "text", "text/html", "<html>OK</html>", "bad_answer: HTML"},
		{"text as text", "onlytext", "text/plain", "OK", `OK`},
		{"an answer line shapes", "bare", "text/xml", `<r><i>1</i></r>`, `{"r":{"i":"1"}}`},
		{"nothing shapes", "asitis", "text/xml", `<r><i>1</i></r>`, `<r><i>1</i></r>`},
		{"an expired token", "expired", "", "", `{"v":"0"}`},
		{"a token that is repeated", "echo", "", "", `{"v":"***"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := harness.Get(t, caddy.URL("/"+tc.api+"?"+url.Values{"type": {tc.kind}, "body": {tc.body}}.Encode()))
			if why, bad := strings.CutPrefix(tc.want, "bad_answer: "); bad {
				out, err := caddy.Command("switchboard", "last", tc.api, "--address", caddy.Admin)
				if got.Status != 502 || err != nil || !strings.Contains(out, "the answer can't be read: "+why+", status 200") {
					t.Errorf("got %d %s, %v\n%s", got.Status, got.Body, err, out)
				}
				return
			}
			if got.Status != 200 || got.Body != tc.want {
				t.Errorf("got %d %s, want %s", got.Status, got.Body, tc.want)
			}
		})
	}
	if mu.Lock(); asked["/expired"] != 2 {
		t.Errorf("asked %d times with a token that the first answer calls expired", asked["/expired"])
	}
	mu.Unlock()
}
