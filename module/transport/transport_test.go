package transport

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/switchboard-ivr/switchboard/module/token/source"
)

const moduleID = "http.reverse_proxy.transport.switchboard"

func load(t *testing.T, text string) (*Transport, error) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	loaded, err := ctx.LoadModuleByID(moduleID, json.RawMessage(text))
	if err != nil {
		return nil, err
	}
	return loaded.(*Transport), nil
}

// The JSON form takes the fields of the http transport beside our own, and no
// others.
func TestJSON(t *testing.T) {
	tr, err := load(t, `{
		"keep_host": true, "max_size": 2048,
		"tls": {"insecure_skip_verify": true, "except_ports": ["8080"]},
		"dial_timeout": "2s", "versions": ["1.1"], "compression": false, "proxy_protocol": "v1"
	}`)
	if err != nil {
		t.Fatal(err)
	}
	if !tr.KeepHost || tr.MaxSize != 2048 || time.Duration(tr.DialTimeout) != 2*time.Second || !tr.TLSEnabled() ||
		!tr.Transport.DisableCompression || !tr.Transport.TLSClientConfig.InsecureSkipVerify || !tr.ProxyProtocolEnabled() {
		t.Errorf("%+v", tr)
	}
	if ops := tr.RequestHeaderOps(); ops != nil {
		t.Errorf("Host would become %v", ops.Set)
	}
	tr.KeepHost = false
	if ops := tr.RequestHeaderOps(); ops == nil || ops.Set.Get("Host") == "" {
		t.Error("Host would not become the upstream's")
	}
	for text, want := range map[string]string{
		`{"tokens": "crm"}`:                       "unknown field",
		`{"max_size": 67108865}`:                  "max_size",
		`{"max_size": -1}`:                        "max_size",
		`{"token_expired": {"status": [401]}}`:    "name the token source",
		`{"versions": ["9"]}`:                     "unsupported HTTP version",
		`{"tls": {"renegotiation": "sometimes"}}`: "renegotiation",
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	tr, err := load(t, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	if tr.MaxSize != 1<<20 || tr.source != nil || tr.TLSEnabled() {
		t.Errorf("%+v", tr)
	}
	// a module whose Provision has failed is cleaned up too
	if err := (Transport{}).CaddyModule().New().(*Transport).Cleanup(); err != nil {
		t.Error(err)
	}
}

// The rule of the transport goes before that of the token source.
func TestOwnRule(t *testing.T) {
	h := newSource()
	h.predicate(t, "true")
	tr := &Transport{TokenExpired: &source.Expired{Status: []int{403}, Program: "dead"}}
	if err := tr.use(h, "def dead: .dead;"); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(tr.rule.statuses, []int{403}) || tr.rule.program.String() != "dead" {
		t.Errorf("%+v", tr.rule)
	}
	tr = &Transport{TokenExpired: &source.Expired{Status: []int{403}}}
	if err := tr.use(h, ""); err != nil || tr.rule.program != nil {
		t.Errorf("%+v, %v", tr.rule, err)
	}
	for _, wrong := range []*source.Expired{{Status: []int{200}}, {Program: "." + "{"}, {Program: "$token"}} {
		if err := (&Transport{TokenExpired: wrong}).use(h, ""); err == nil || !strings.HasPrefix(err.Error(), "token_expired: ") {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}

func parse(text string) (*Transport, error) {
	tr := Transport{}.CaddyModule().New().(*Transport)
	return tr, tr.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
}

func TestCaddyfile(t *testing.T) {
	tr, err := parse(`switchboard {
		dial_timeout 2s
		token crm
		token_expired 401 403 ` + "`.code == 40001`" + `
		tls_trust_pool file /ca.pem {
			pem_file /other.pem
		}
		max_size 512KiB
		keep_host
		versions 1.1
	}`)
	if err != nil {
		t.Fatal(err)
	}
	got := string(caddyconfig.JSONModuleObject(tr, "protocol", "switchboard", nil))
	const want = `{"dial_timeout":2000000000,"keep_host":true,"max_size":524288,"protocol":"switchboard",` +
		`"tls":{"ca":{"pem_files":["/ca.pem","/other.pem"],"provider":"file"}},"token":"crm",` +
		`"token_expired":{"program":".code == 40001","status":[401,403]},"versions":["1.1"]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCaddyfileRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`switchboard`:                                       "write `token NAME`",
		"switchboard {\n}":                                  "write `token NAME`",
		"switchboard crm {\ntoken crm\n}":                   "wrong argument count",
		"switchboard {\ntoken\n}":                           "wrong argument count",
		"switchboard {\ntoken a b\n}":                       "wrong argument count",
		"switchboard {\ntoken a\ntoken a\n}":                "Testfile:3",
		"switchboard {\ntoken a\nmax_size 0\n}":             "max_size",
		"switchboard {\ntoken a\nmax_size 9GiB\n}":          "max_size",
		"switchboard {\ntoken a\nmax_size\n}":               "wrong argument count",
		"switchboard {\ntoken a\nkeep_host on\n}":           "wrong argument count",
		"switchboard {\ntoken a\ntoken_expired\n}":          "wrong argument count",
		"switchboard {\ntoken a\ntoken_expired 200\n}":      "Testfile:3",
		"switchboard {\ntoken a\ntoken_expired `.a |`\n}":   "Testfile:3",
		"switchboard {\ntoken a\ntoken_expired `.a` 401\n}": "the program comes last",
		"switchboard {\ntoken a\n\nread_bufer 1KiB\n}":      "Testfile:4",
		"switchboard {\ntoken a\ndial_timeout 3parsecs\n}":  "bad timeout value",
	} {
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

// reverse_proxy treats the transport as it treats Caddy's own.
func TestUnderReverseProxy(t *testing.T) {
	h := new(reverseproxy.Handler)
	err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("reverse_proxy https://crm.example.com {\ntransport switchboard {\ntoken crm\n}\n}"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(h.TransportRaw), `{"protocol":"switchboard","tls":{},"token":"crm"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
