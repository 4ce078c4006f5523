package logencoder

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile" // the adapter
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// load provisions an encoder as Caddy does for a log.
func load(t testing.TB, config string) *Encoder {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	m, err := ctx.LoadModuleByID("caddy.logging.encoders.switchboard", []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*Encoder)
}

// quiet writes no time and level, so that lines compare.
const quiet = `{"wrap":{"format":"json","time_key":"","level_key":""}}`

// line logs one line through a zap logger and returns it.
func line(t testing.TB, enc zapcore.Encoder, log func(*zap.Logger)) string {
	t.Helper()
	var out strings.Builder
	log(zap.New(zapcore.NewCore(enc, zapcore.AddSync(&out), zapcore.DebugLevel)))
	return strings.TrimSpace(out.String())
}

func TestFields(t *testing.T) {
	enc := load(t, quiet)
	for name, c := range map[string]struct {
		fields []zap.Field
		want   string
	}{
		"text":        {[]zap.Field{zap.String("detail", "no row for 13800138000")}, `"detail":"no row for ***00"`},
		"uri":         {[]zap.Field{zap.String("uri", `/a?x="&tel=1001`)}, `"uri":"/a?x=\"&tel=***"`},
		"secret name": {[]zap.Field{zap.String("app_secret", "s3cret")}, `"app_secret":"REDACTED"`},
		"empty":       {[]zap.Field{zap.String("app_secret", "")}, `"app_secret":""`},
		"source name": {[]zap.Field{zap.String("token", "crm"), zap.String("key", "oauth/ab")}, `"token":"crm","key":"oauth/ab"`},
		"fingerprint": {[]zap.Field{zap.String("fingerprint", "12345678")}, `"fingerprint":"12345678"`},
		"error":       {[]zap.Field{zap.Error(errors.New(`Get "http://h/x?sign=ab&tel=1": EOF`))}, `"error":"Get \"http://h/x?sign=***&tel=***\": EOF"`},
		"errors":      {[]zap.Field{zap.Errors("errs", []error{errors.New("a@example.com")})}, `"errs":[{"error":"***@***"}]`},
		"strings":     {[]zap.Field{zap.Strings("to", []string{"a@example.com", "b"})}, `"to":["***@***","b"]`},
		"headers":     {[]zap.Field{zap.Strings("X-Access-Token", []string{"abc"})}, `"X-Access-Token":["REDACTED"]`},
		"length":      {[]zap.Field{zap.Strings("Content-Length", []string{"12345678"})}, `"Content-Length":["12345678"]`},
		"bytes":       {[]zap.Field{zap.ByteString("body", []byte("tel 13800138000"))}, `"body":"tel ***00"`},
		"byte slices": {[]zap.Field{zap.ByteStrings("b", [][]byte{[]byte("13800138000")})}, `"b":["***00"]`},
		"stringer":    {[]zap.Field{zap.Stringer("t", time.Duration(1))}, `"t":"1ns"`},
		"numbers": {
			[]zap.Field{zap.Int64("size", 13800138000), zap.Int("status", 200), zap.Float64("ts", 1656143373.1234567), zap.Bool("b", true)},
			`"size":13800138000,"status":200,"ts":1656143373.1234567,"b":true`,
		},
		"namespace": {[]zap.Field{zap.Namespace("n"), zap.String("a", "13800138000")}, `"n":{"a":"***00"}`},
		"dict":      {[]zap.Field{zap.Dict("d", zap.String("password", "x"), zap.Dict("e", zap.String("a", "13800138000")))}, `"d":{"password":"REDACTED","e":{"a":"***00"}}`},
		"dicts":     {[]zap.Field{zap.Array("l", lists{})}, `"l":[["***38"],{"password":"REDACTED"},{"tel":"***00"},3]`},
		"reflected": {
			[]zap.Field{zap.Reflect("h", http.Header{"Token": {"abc"}, "X": {"13800138000"}})},
			`"h":{"Token":["REDACTED"],"X":["***00"]}`,
		},
		"reflected numbers": {
			[]zap.Field{zap.Reflect("d", map[string]any{"tel": 13800138000, "size": 13800138000, "ok": true, "l": []int{1}, "pin": 1234})},
			`"d":{"l":[1],"ok":true,"pin":"***","size":13800138000,"tel":"***00"}`,
		},
		"reflected scalars": {
			[]zap.Field{zap.Reflect("a", nil), zap.Reflect("b", "a@example.com"), zap.Reflect("c", 13800138000)},
			`"a":null,"b":"***@***","c":13800138000`,
		},
		"not JSON": {[]zap.Field{zap.Reflect("c", make(chan int))}, `"cError":"value can't be written as JSON"`},
		"nothing":  {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := line(t, enc, func(l *zap.Logger) { l.Info("m", c.fields...) })
			want := `{"msg":"m"`
			if c.want != "" {
				want += "," + c.want
			}
			if want += "}"; got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}

// lists is an array with everything in it that arrays can have.
type lists struct{}

func (lists) MarshalLogArray(a zapcore.ArrayEncoder) error {
	return errors.Join(
		a.AppendArray(zapcore.ArrayMarshalerFunc(func(a zapcore.ArrayEncoder) error {
			a.AppendString("13800138")
			return nil
		})),
		a.AppendObject(zapcore.ObjectMarshalerFunc(func(o zapcore.ObjectEncoder) error {
			o.AddString("password", "x")
			return nil
		})),
		a.AppendReflected(map[string]int{"tel": 13800138000}),
		a.AppendReflected(3),
	)
}

func TestArrayOfWhatIsNoJSON(t *testing.T) {
	got := line(t, load(t, quiet), func(l *zap.Logger) {
		l.Info("m", zap.Array("a", zapcore.ArrayMarshalerFunc(func(a zapcore.ArrayEncoder) error {
			return a.AppendReflected(make(chan int))
		})))
	})
	if !strings.Contains(got, "can't be written as JSON") {
		t.Error(got)
	}
}

func TestMessageAndFieldsOfTheLogger(t *testing.T) {
	got := line(t, load(t, quiet), func(l *zap.Logger) {
		l = l.With(zap.String("caller", "13800138000"), zap.Strings("X-Api-Key", []string{"k"}))
		l.Error("calling 13800138000", zap.String("b", "c"))
	})
	want := `{"msg":"calling ***00","caller":"***00","X-Api-Key":["REDACTED"],"b":"c"}`
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// accessLine is what Caddy writes for a request, with everything in it that
// it should not write.
func accessLine(t testing.TB, enc zapcore.Encoder) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet,
		"/ivr/order/13700137000?tel=%2B8613800138000&email=zhang%40example.com&access_token=t0k3n&call_id=CA00ff00ff00ff00ff", nil)
	r.Header.Set("X-Access-Token", "t0k3n")
	r.Header.Set("X-Api-Key", "t0k3n")
	r.Header.Set("Authorization", "Bearer t0k3n")
	r.Header.Set("Referer", "https://pbx/?from=1001&token=t0k3n")
	r.Header.Set("X-Request-Id", "12345678-1234-1234-1234-123456789012")
	resp := http.Header{"Location": {"/next?refresh_token=t0k3n"}, "Content-Length": {"12345678"}, "Token": {"t0k3n"}}
	return line(t, enc, func(l *zap.Logger) {
		// WithLazy and the fields as in caddyhttp's server.go
		l.Named("http.log.access").WithLazy(zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: r})).Info("handled request",
			zap.String("user_id", "zhang@example.com"),
			zap.Duration("duration", 1500*time.Microsecond),
			zap.Int("size", 12345678),
			zap.Int("status", 200),
			zap.Object("resp_headers", caddyhttp.LoggableHTTPHeader{Header: resp}))
	})
}

func TestAccessLog(t *testing.T) {
	for name, enc := range map[string]zapcore.Encoder{
		"json":    load(t, `{}`),
		"console": load(t, `{"wrap":{"format":"console"}}`),
		"filter":  load(t, `{"wrap":{"format":"filter","wrap":{"format":"json"},"fields":{"user_id":{"filter":"delete"}}}}`),
		"twice":   load(t, `{"wrap":{"format":"switchboard"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			got := accessLine(t, enc)
			for _, secret := range []string{"t0k3n", "zhang", "13800138000", "13700137000", "1001"} {
				if strings.Contains(got, secret) {
					t.Errorf("%q is in the line", secret)
				}
			}
			for _, kept := range []string{
				"/ivr/order/***00?tel=***00&email=***&access_token=***&call_id=CA00ff00ff00ff00ff",
				"https://pbx/?from=***&token=***", "/next?refresh_token=***",
				"12345678-1234-1234-1234-123456789012",
				`"192.0.2.1"`, `"Content-Length":`, "12345678", "0.0015", "handled request",
			} {
				if !strings.Contains(strings.ReplaceAll(got, `\u0026`, "&"), kept) {
					t.Errorf("%q is missing", kept)
				}
			}
			if t.Failed() {
				t.Log(got)
			}
		})
	}
}

// TestInsideFilter wraps the other way round: Caddy's filter encoder writes
// nested objects through the top of what it wraps.
func TestInsideFilter(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	m, err := ctx.LoadModuleByID("caddy.logging.encoders.filter", []byte(`{"wrap":{"format":"switchboard"},"fields":{"status":{"filter":"delete"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	got := accessLine(t, m.(*logging.FilterEncoder))
	for _, secret := range []string{"t0k3n", "zhang", "13800138000", "13700137000", `"status"`} {
		if strings.Contains(got, secret) {
			t.Errorf("%q is in the line: %s", secret, got)
		}
	}
}

func TestCaddyfile(t *testing.T) {
	for name, c := range map[string]struct{ in, want, err string }{
		"plain":        {"switchboard", `{}`, ""},
		"wrap":         {"switchboard {\n wrap json {\n time_format rfc3339\n}\n}", `{"wrap":{"format":"json","time_format":"rfc3339"}}`, ""},
		"argument":     {"switchboard json", "", "wrong argument count"},
		"no encoder":   {"switchboard {\n wrap\n}", "", "wrong argument count"},
		"two":          {"switchboard {\n wrap json\n wrap console\n}", "", "wrap is already set"},
		"unknown":      {"switchboard {\n wrap nosuch\n}", "", "nosuch"},
		"not encoding": {"switchboard {\n wrap filter.delete\n}", "", "is not a log encoder"},
		"bad inside":   {"switchboard {\n wrap json {\n x y\n}\n}", "", "unrecognized subdirective x"},
		"bad":          {"switchboard {\n fields x\n}", "", "unrecognized subdirective 'fields'"},
	} {
		t.Run(name, func(t *testing.T) {
			var e Encoder
			err := e.UnmarshalCaddyfile(caddyfile.NewTestDispenser(c.in))
			switch {
			case c.err != "":
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got error %v, want one with %q", err, c.err)
				}
			case err != nil:
				t.Error(err)
			default:
				if got := string(caddyconfig.JSON(&e, nil)); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			}
		})
	}
}

func TestDirective(t *testing.T) {
	const in = ":80 {\n\tlog {\n\t\tformat switchboard {\n\t\t\twrap console\n\t\t}\n\t}\n}\n"
	got, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(in), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	if want := `"encoder":{"format":"switchboard","wrap":{"format":"console"}}`; !strings.Contains(string(got), want) {
		t.Errorf("got %s, want %s in it", got, want)
	}
}

func TestProvisionRefuses(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	for _, config := range []string{`{"wrap":{"format":"nosuch"}}`, `{"wrap":{"format":"filter.delete"}}`, `{"other":1}`} {
		if _, err := ctx.LoadModuleByID("caddy.logging.encoders.switchboard", []byte(config)); err == nil {
			t.Errorf("%s: no error", config)
		}
	}
}

func TestDefaultFormat(t *testing.T) {
	defer func(f func() bool) { isTerminal = f }(isTerminal)
	for name, c := range map[string]struct {
		config   string
		terminal bool
		json     bool
	}{
		"terminal":         {`{}`, true, false},
		"pipe":             {`{}`, false, true},
		"named":            {`{"wrap":{"format":"json"}}`, true, true},
		"nested, terminal": {`{"wrap":{"format":"filter"}}`, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			isTerminal = func() bool { return c.terminal }
			enc := load(t, c.config)
			if err := enc.ConfigureDefaultFormat(caddy.StderrWriter{}); err != nil {
				t.Fatal(err)
			}
			got := line(t, enc, func(l *zap.Logger) { l.Info("calling 13800138000") })
			if strings.HasPrefix(got, "{") != c.json || !strings.Contains(got, "calling ***00") {
				t.Errorf("got %s", got)
			}
		})
	}
}

func BenchmarkAccessLog(b *testing.B) {
	r := httptest.NewRequest(http.MethodGet, "/ivr/order?tel=13800138000&call_id=CA00ff00ff00ff00ff", nil)
	r.Header.Set("User-Agent", "asterisk-libcurl-agent/1.0")
	r.Header.Set("Accept", "*/*")
	r.Header.Set("X-Request-Id", "12345678-1234-1234-1234-123456789012")
	fields := []zap.Field{
		zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: r}),
		zap.Int("status", 200),
		zap.Object("resp_headers", caddyhttp.LoggableHTTPHeader{Header: http.Header{"Content-Type": {"application/json"}}}),
	}
	for _, config := range []string{`{"wrap":{"format":"json"}}`, ""} {
		var enc zapcore.Encoder = load(b, `{}`)
		name := "switchboard"
		if config == "" {
			enc, name = enc.(*Encoder).Encoder.(maskedEncoder).enc, "json"
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf, err := enc.EncodeEntry(zapcore.Entry{Message: "handled request"}, fields)
				if err != nil {
					b.Fatal(err)
				}
				buf.Free()
			}
		})
	}
}
