// Package transport is the reverse_proxy transport `switchboard`. It adds the
// token to requests, below reverse_proxy's headers and logs, notices when the API
// says that the token has expired, and repeats such a request once with a new
// token.
package transport

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/connerr"
	"github.com/switchboard-ivr/switchboard/internal/document"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/blocks"
	"github.com/switchboard-ivr/switchboard/module/program"
	"github.com/switchboard-ivr/switchboard/module/token"
	"github.com/switchboard-ivr/switchboard/module/token/source"
)

// How much of an answer a token_expired program sees, at most.
const (
	defaultMaxSize = 1 << 20
	maxMaxSize     = 64 << 20
)

// DefaultMaxHeader is the maximum size of an answer's headers, unless
// max_response_header_size is set. The default of net/http is 10 MB.
const DefaultMaxHeader = 256 << 10

func init() {
	caddy.RegisterModule(Transport{})
}

// Transport is Caddy's `http` transport, with all of its settings, and a token in
// every request.
//
// The token is written into a copy of the request, after all handlers and after
// reverse_proxy's own header changes. So no client header can delete it, and no
// error route, log line or response header can show it. The client's own copies
// of the header or parameter are removed.
//
// If an answer means that the token has expired (see `token_expired`), one new
// token is obtained, no matter how many requests notice, and each request is
// repeated once. The first answer is discarded completely. A request body is
// repeated if it is no larger than 1 MiB. Larger bodies and streams are not
// repeated: the client gets the first answer, and only later requests have the
// new token.
//
// Without a token the API is not called: the response is 503 with `Retry-After`,
// `Proxy-Status` (RFC 9209) and a line of JSON,
// `{"error":{"outcome":"no_token","message":"…"}}`. A request whose body the
// token can't be added to (`inject body`) gets 400, 413 or 415 in the same form,
// with the outcome `bad_request`, and so does a caller whose upload breaks off
// (400) or stalls (408). TRACE, TRACK and CONNECT are never sent: 405.
//
// No response header contains the token. An answer with more than 256 KiB of
// headers is refused, unless `max_response_header_size` is set.
type Transport struct {
	*reverseproxy.HTTPTransport

	// The name of the token source. Without it, this is the plain `http`
	// transport.
	Token string `json:"token,omitempty"`

	// Which answers mean that the token has expired. Default: the token source's
	// rule.
	TokenExpired *source.Expired `json:"token_expired,omitempty"`

	// Maximum size of an answer, decompressed, that the program of token_expired
	// is evaluated on, in bytes. A larger answer is passed on without. Default: 1
	// MiB; at most 64 MiB.
	MaxSize int64 `json:"max_size,omitempty"`

	// Whether to leave Host unchanged. Default: false, which means that an API
	// with TLS gets the host of its address, as with Caddy's transport.
	KeepHost bool `json:"keep_host,omitempty"`

	next   http.RoundTripper
	source tokenSource // nil without a token
	inject token.Injection
	rule   rule
	reader document.Reader // of answers, for the rule
	logger *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID: "http.reverse_proxy.transport.switchboard",
		New: func() caddy.Module {
			return &Transport{HTTPTransport: new(reverseproxy.HTTPTransport)}
		},
	}
}

// Provision sets up the http transport and finds the token source.
func (t *Transport) Provision(ctx caddy.Context) error {
	if t.MaxResponseHeaderSize == 0 {
		t.MaxResponseHeaderSize = DefaultMaxHeader
	}
	if err := t.HTTPTransport.Provision(ctx); err != nil {
		return err
	}
	connerr.KeepCause(t.Transport)
	t.next, t.logger = t.HTTPTransport, ctx.Logger()
	if t.MaxSize < 0 || t.MaxSize > maxMaxSize {
		return fmt.Errorf("max_size: %d is not between 1 and %d bytes", t.MaxSize, maxMaxSize)
	}
	if t.MaxSize == 0 {
		t.MaxSize = defaultMaxSize
	}
	if t.Token == "" {
		if t.TokenExpired != nil {
			return errors.New("token_expired needs a token; name the token source with `token`")
		}
		return nil
	}
	loaded, err := ctx.App("switchboard")
	if err != nil {
		return fmt.Errorf("getting the app switchboard: %w", err)
	}
	app := loaded.(*switchboard.App)
	holder, err := app.Token(t.Token)
	if err != nil {
		return err
	}
	return t.use(holder, app.Define)
}

// use adopts the rules of a token source.
func (t *Transport) use(holder tokenSource, define string) error {
	if !holder.HasToken() {
		return nil
	}
	t.source, t.inject = holder, holder.Injection()
	t.rule.statuses, t.rule.program = holder.ExpiredRule()
	if t.TokenExpired != nil {
		var err error
		if t.rule, err = compile(t.TokenExpired, define); err != nil {
			return err
		}
	}
	t.reader.Part = jq.Project(t.rule.program)
	return nil
}

// RequestHeaderOps implements reverseproxy.RequestHeaderOpsTransport.
func (t *Transport) RequestHeaderOps() *headers.HeaderOps {
	if t.KeepHost {
		return nil
	}
	return t.HTTPTransport.RequestHeaderOps()
}

// UnmarshalCaddyfile sets up the transport. In addition to its own subdirectives
// it takes those of Caddy's `http` transport:
//
//	transport switchboard {
//		token         <name>
//		token_expired [<status...>] [<jq>]
//		max_size      <size>
//		keep_host
//		...
//	}
func (t *Transport) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume transport name
	name := d.Token()
	if d.NextArg() {
		return d.ArgErr()
	}
	r := blocks.New(d, "transport")
	lines := blocks.Lines{
		"token": r.Text(&t.Token), "keep_host": r.Flag(&t.KeepHost), "max_size": blocks.Size(r, &t.MaxSize, maxMaxSize),
		"token_expired": func() error { return t.unmarshalExpired(d) },
	}
	brace := name // with its position
	brace.Text = "{"
	rest := []caddyfile.Token{name, brace}
	for d.NextBlock(0) {
		word := d.Val()
		read, ours := lines[word]
		if !ours {
			rest = append(rest, d.NextSegment()...)
			continue
		}
		if err := r.Once(word); err != nil {
			return err
		}
		if err := read(); err != nil {
			return err
		}
	}
	if t.Token == "" {
		return d.Errf("transport switchboard needs a token source; write `token NAME`")
	}
	brace = d.Token()
	brace.Text = "}"
	rest = append(rest, brace)
	return t.HTTPTransport.UnmarshalCaddyfile(caddyfile.NewDispenser(rest))
}

func (t *Transport) unmarshalExpired(d *caddyfile.Dispenser) error {
	rule, err := source.ParseExpired(d)
	if err != nil {
		return err
	}
	// Provision compiles it again; here, the error names the line
	if _, err := compile(rule, program.Define(d)); err != nil {
		return d.WrapErr(err)
	}
	t.TokenExpired = rule
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner                                = (*Transport)(nil)
	_ caddy.CleanerUpper                               = (*Transport)(nil)
	_ http.RoundTripper                                = (*Transport)(nil)
	_ reverseproxy.TLSTransport                        = (*Transport)(nil)
	_ reverseproxy.H2CTransport                        = (*Transport)(nil)
	_ reverseproxy.HealthCheckSchemeOverriderTransport = (*Transport)(nil)
	_ reverseproxy.ProxyProtocolTransport              = (*Transport)(nil)
	_ reverseproxy.RequestHeaderOpsTransport           = (*Transport)(nil)
	_ caddyfile.Unmarshaler                            = (*Transport)(nil)
)
