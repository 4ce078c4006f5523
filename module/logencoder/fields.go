package logencoder

import (
	"go.uber.org/zap/zapcore"

	"github.com/switchboard-ivr/switchboard/internal/mask"
)

// redacted is Caddy's replacement for sensitive headers.
const redacted = "REDACTED"

// object masks the text that is added to an object. Numbers, times and booleans
// are passed on unchanged.
type object struct{ zapcore.ObjectEncoder }

func (o object) AddString(key, value string) {
	o.ObjectEncoder.AddString(key, field(key, value))
}

func (o object) AddByteString(key string, value []byte) {
	o.ObjectEncoder.AddString(key, field(key, string(value)))
}

func (o object) AddObject(key string, m zapcore.ObjectMarshaler) error {
	return o.ObjectEncoder.AddObject(key, objectMarshaler{m})
}

// AddArray masks an array of strings, which is how Caddy logs a header.
func (o object) AddArray(key string, m zapcore.ArrayMarshaler) error {
	return o.ObjectEncoder.AddArray(key, arrayMarshaler{m, hideFor(key)})
}

func (o object) AddReflected(key string, value any) error {
	value, err := reflected(key, value)
	if err != nil {
		return err
	}
	return o.ObjectEncoder.AddReflected(key, value)
}

type objectMarshaler struct{ m zapcore.ObjectMarshaler }

func (m objectMarshaler) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	return m.m.MarshalLogObject(object{enc})
}

// array masks the text in an array according to the array's name.
type array struct {
	zapcore.ArrayEncoder
	hide func(string) string
}

func (a array) AppendString(value string) { a.ArrayEncoder.AppendString(a.hide(value)) }

func (a array) AppendByteString(value []byte) { a.ArrayEncoder.AppendString(a.hide(string(value))) }

func (a array) AppendObject(m zapcore.ObjectMarshaler) error {
	return a.ArrayEncoder.AppendObject(objectMarshaler{m})
}

func (a array) AppendArray(m zapcore.ArrayMarshaler) error {
	return a.ArrayEncoder.AppendArray(arrayMarshaler{m, a.hide})
}

func (a array) AppendReflected(value any) error {
	value, err := reflected("", value)
	if err != nil {
		return err
	}
	return a.ArrayEncoder.AppendReflected(value)
}

type arrayMarshaler struct {
	m    zapcore.ArrayMarshaler
	hide func(string) string
}

func (m arrayMarshaler) MarshalLogArray(enc zapcore.ArrayEncoder) error {
	return m.m.MarshalLogArray(array{enc, m.hide})
}

// field masks the text of a field according to its name.
func field(key, value string) string {
	switch key {
	case "token", "key": // the name of a token source or a storage key
		return mask.Text(value)
	}
	return hideFor(key)(value)
}

// hideFor returns the function that masks the values of a header or a field.
func hideFor(key string) func(string) string {
	switch key {
	case "Content-Length", "Content-Range", "fingerprint": // a digest, which may consist of digits
		return asIs
	case "uri", "url", "Referer", "Location":
		return mask.URI
	}
	if mask.Secret(key) {
		return redact
	}
	return mask.Text
}

func asIs(s string) string { return s }

func redact(s string) string {
	if s == "" {
		return s
	}
	return redacted
}
