// Package logencoder is the log format switchboard: Caddy's log lines without
// tokens, telephone numbers and email addresses.
package logencoder

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/blocks"
)

func init() {
	caddy.RegisterModule(Encoder{})
}

// Encoder masks personal data and secrets in a log line, and lets another encoder
// write it. Caddy's access log writes request URIs and most headers unchanged,
// and phone systems put numbers and keys into both:
//
//	log {
//		format switchboard
//	}
//
// It changes, in the message and in all fields, however deeply nested:
//
//   - Values of query parameters named like a secret (access_token, sign, app_key,
//     password …) become "***"; values of those named like a number or an address
//     (tel, phone, caller, from, email …) become "***", or "***" and the last two
//     digits. Percent-encoded values are masked, too.
//   - Headers and fields named like a secret (X-Api-Key, *-Token, *-Key, *-Secret)
//     become "REDACTED", like Authorization and Cookie in Caddy.
//   - Anywhere in text, runs of seven or more digits, grouped or not, become "***" and
//     the last two digits; email addresses become "***@***"; JSON web tokens, what
//     follows Bearer or Basic, and user and password in URLs become "***".
//
// It doesn't change fields that are numbers, times or durations (status, size,
// ts); UUIDs and hex ids, such as most call ids; Asterisk's unique ids; IP
// addresses, dates, versions; Content-Length; and a token's fingerprint. A call
// id that consists of digits is masked like a number.
//
// The fields token and key contain names in Caddy's and Switchboard's own lines,
// and are treated as text.
type Encoder struct {
	// WrappedRaw is the encoder that writes the masked line. Default: json, or
	// console if the log goes to a terminal.
	WrappedRaw json.RawMessage `json:"wrap,omitempty" caddy:"namespace=caddy.logging.encoders inline_key=format"`

	zapcore.Encoder `json:"-"`

	ctx       caddy.Context
	isDefault bool
}

// CaddyModule returns the Caddy module information.
func (Encoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy.logging.encoders.switchboard",
		New: func() caddy.Module { return new(Encoder) },
	}
}

// Provision loads the wrapped encoder.
func (e *Encoder) Provision(ctx caddy.Context) error {
	e.ctx = ctx
	if e.WrappedRaw == nil {
		e.isDefault = true
		return e.wrapOwn(new(logging.JSONEncoder))
	}
	v, err := ctx.LoadModule(e, "WrappedRaw")
	if err != nil {
		return fmt.Errorf("loading wrapped encoder: %w", err)
	}
	enc, ok := v.(zapcore.Encoder)
	if !ok {
		return fmt.Errorf("wrapped module %T is not an encoder", v)
	}
	e.Encoder = masked(enc)
	return nil
}

type provisionedEncoder interface {
	zapcore.Encoder
	caddy.Provisioner
}

func (e *Encoder) wrapOwn(enc provisionedEncoder) error {
	if err := enc.Provision(e.ctx); err != nil {
		return fmt.Errorf("provisioning default encoder: %w", err)
	}
	e.Encoder = masked(enc)
	return nil
}

// ConfigureDefaultFormat replaces json by console, if no encoder was named and
// the log goes to a terminal.
func (e *Encoder) ConfigureDefaultFormat(wo caddy.WriterOpener) error {
	if !e.isDefault {
		if c, ok := e.Encoder.(maskedEncoder).enc.(caddy.ConfiguresFormatterDefault); ok {
			return c.ConfigureDefaultFormat(wo)
		}
		return nil
	}
	if caddy.IsWriterStandardStream(wo) && isTerminal() {
		return e.wrapOwn(new(logging.ConsoleEncoder))
	}
	return nil
}

// isTerminal checks stderr, as Caddy does for its own default.
var isTerminal = func() bool { return term.IsTerminal(int(os.Stderr.Fd())) }

// maskedEncoder masks an entry and its fields.
type maskedEncoder struct {
	object
	enc zapcore.Encoder
}

func masked(enc zapcore.Encoder) maskedEncoder { return maskedEncoder{object{enc}, enc} }

// Clone implements zapcore.Encoder; it is called for loggers with fields of their
// own.
func (m maskedEncoder) Clone() zapcore.Encoder { return masked(m.enc.Clone()) }

// EncodeEntry passes the fields on as a single one, which masks them while it is
// written.
func (m maskedEncoder) EncodeEntry(e zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	e.Message, e.Stack = mask.Text(e.Message), mask.Text(e.Stack)
	if len(fields) == 0 {
		return m.enc.EncodeEntry(e, nil)
	}
	return m.enc.EncodeEntry(e, []zapcore.Field{zap.Inline(fieldList(fields))})
}

type fieldList []zapcore.Field

func (l fieldList) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	for i := range l {
		l[i].AddTo(object{enc})
	}
	return nil
}

// UnmarshalCaddyfile sets up the encoder from Caddyfile tokens. Syntax:
//
//	format switchboard {
//		wrap <encoder>
//	}
func (e *Encoder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume encoder name
	if d.NextArg() {
		return d.ArgErr()
	}
	return blocks.New(d, "format").Read(blocks.Lines{"wrap": func() error {
		if !d.NextArg() {
			return d.ArgErr()
		}
		name := d.Val()
		m, err := caddyfile.UnmarshalModule(d, "caddy.logging.encoders."+name)
		if err != nil {
			return err
		}
		if _, ok := m.(zapcore.Encoder); !ok {
			return d.Errf("%s (%T) is not a log encoder", name, m)
		}
		e.WrappedRaw = caddyconfig.JSONModuleObject(m, "format", name, nil)
		return nil
	}})
}

var errNotJSON = errors.New("value can't be written as JSON")

// reflected returns what the encoder would write for a value, masked. It takes
// the way through JSON, which is slow, but no call logs such values.
func reflected(key string, value any) (any, error) {
	switch v := value.(type) {
	case nil, bool, int, int64, uint64, float64:
		return v, nil
	case string:
		return field(key, v), nil
	}
	b, err := json.Marshal(value)
	if err != nil {
		return nil, errNotJSON // the error's text may contain data
	}
	doc, err := jsonval.Decode(b, jsonval.Limits{Bytes: len(b)})
	if err != nil {
		return nil, errNotJSON
	}
	return document(key, doc), nil
}

// document masks strings, and numbers whose field name says that they identify a
// person.
func document(key string, doc any) any {
	switch v := doc.(type) {
	case string:
		return field(key, v)
	case json.Number:
		if mask.Secret(key) || mask.Personal(key) {
			return mask.Value(key, v.String())
		}
	case []any:
		for i := range v {
			v[i] = document(key, v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = document(k, v[k])
		}
	}
	return doc
}

// Interface guards
var (
	_ caddy.Module                     = (*Encoder)(nil)
	_ caddy.Provisioner                = (*Encoder)(nil)
	_ caddy.ConfiguresFormatterDefault = (*Encoder)(nil)
	_ zapcore.Encoder                  = (*Encoder)(nil)
	_ caddyfile.Unmarshaler            = (*Encoder)(nil)
)
