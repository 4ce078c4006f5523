package switchboard_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	switchboard "github.com/switchboard-ivr/switchboard/module"
)

func TestPhoneSystems(t *testing.T) {
	app := run(t, adapted(t, `{
	admin off
	switchboard {
		phone_system own-pbx {
			format      flat
			limit       4095B
			field_limit 255B
			budget      1s
			on_failure  error
			filter      control dollar
		}
		phone_system plain {
			no_null
			object
		}
	}
}
`))
	own, err := app.PhoneSystem("own-pbx")
	if err != nil {
		t.Fatal(err)
	}
	if own.Format != answer.Flat || own.Limit != 4095 || own.FieldLimit != 255 || own.Budget != time.Second || !own.OnError || !own.Voice || own.Tested {
		t.Errorf("got %+v", own)
	}
	style := own.Style()
	if got, err := style.Append(nil, map[string]any{"a": "$\n"}); err != nil || string(got) != `{"a":"＄ "}` {
		t.Errorf("got %s, error %v", got, err)
	}
	plain, err := app.PhoneSystem("plain")
	if err != nil {
		t.Fatal(err)
	}
	style = plain.Style()
	if got, err := style.Append(nil, nil); err != nil || string(got) != `{"value":""}` {
		t.Errorf("got %s, error %v", got, err)
	}
	if s, err := app.PhoneSystem("kamailio"); err != nil || s.Name != "kamailio" {
		t.Errorf("got %v, error %v", s, err)
	}
	if _, err := app.PhoneSystem("avaya"); err == nil || !strings.Contains(err.Error(), "asterisk, connect") || !strings.Contains(err.Error(), "custom ones: own-pbx, plain") {
		t.Errorf("got %v", err)
	}
}

func TestPhoneSystemsWithoutOwn(t *testing.T) {
	app := run(t, adapted(t, "{\n admin off\n switchboard {\n define `def f: .;`\n}\n}\n"))
	if _, err := app.PhoneSystem("avaya"); err == nil || strings.Contains(err.Error(), "your own") {
		t.Errorf("got %v", err)
	}
}

func TestPhoneSystemRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"phone_system {\n format flat\n}":                                       "wrong argument count",
		"phone_system a b {\n format flat\n}":                                   "wrong argument count",
		"phone_system a":                                                        "is empty",
		"phone_system A {\n format flat\n}":                                     "no name of a phone system",
		"phone_system a {\n format\n}":                                          "wrong argument count",
		"phone_system a {\n format xml\n}":                                      `unknown format "xml"`,
		"phone_system a {\n format flat\n format json\n}":                       "format is already set",
		"phone_system a {\n limit 0\n}":                                         "not a size",
		"phone_system a {\n limit 65MiB\n}":                                     "not a size",
		"phone_system a {\n limit\n}":                                           "wrong argument count",
		"phone_system a {\n field_limit many\n}":                                "not a size",
		"phone_system a {\n budget 0s\n}":                                       "not a duration above 0",
		"phone_system a {\n budget\n}":                                          "wrong argument count",
		"phone_system a {\n on_failure never\n}":                                `on_failure "never" is unknown`,
		"phone_system a {\n filter\n}":                                          "control, dollar, expression",
		"phone_system a {\n filter quotes\n}":                                   `filter "quotes" is unknown`,
		"phone_system a {\n no_null yes\n}":                                     "wrong argument count",
		"phone_system a {\n object yes\n}":                                      "wrong argument count",
		"phone_system a {\n format flat\n object\n}":                            "object is for json",
		"phone_system a {\n formt flat\n}":                                      "unrecognized subdirective 'formt' of phone_system",
		"phone_system a {\n format flat\n}\n phone_system a {\n format json\n}": "phone_system a is already defined",
		"phone_system a {\n format flat {\n more\n}\n}":                         "",
		"phone_system a {\n filter control dollar\n limit 4kB\n limit 4kB\n}":   "limit is already set",
		"phone_system a {\n no_null\n object\n budget 1s\n budget 2s\n}":        "budget is already set",
		"phone_system a {\n format text\n no_null\n}":                           "no_null is for json",
		"phone_system a {\n filter control dollar control\n}":                   "twice",
	} {
		_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\nswitchboard {\n"+text+"\n}\n}\n"), map[string]any{"filename": "Caddyfile"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", text, err, want)
		}
	}
}

// JSON isn't read by the Caddyfile's parser: the app checks it itself.
func TestPhoneSystemInJSONRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"kamailio":{"format":"flat"}}`: "phone_system kamailio is built in",
		`{"a":null}`:                     "phone_system a is null",
		`{"a":{"format":"xml"}}`:         "phone_system a: unknown format",
		`{"a":{"limit":-1}}`:             "limit must be more than 0",
		`{"a":{"field_limit":-1}}`:       "field_limit must be more than 0",
		`{"a":{"budget":-1}}`:            "budget must be more than 0",
		`{"a":{"on_failure":"x"}}`:       "on_failure",
		`{"a b":{"format":"flat"}}`:      "no name of a phone system",
		`{"a":{"formt":"flat"}}`:         "formt",
	} {
		cfg := new(caddy.Config)
		if err := json.Unmarshal([]byte(`{"admin":{"disabled":true},"apps":{"switchboard":{"phone_systems":`+text+`}}}`), cfg); err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

// FuzzPhoneSystem: what the Caddyfile's parser takes, the app takes, and it
// says the same in JSON.
func FuzzPhoneSystem(f *testing.F) {
	f.Add("phone_system a {\n format flat\n limit 4095B\n budget 1s\n filter control dollar\n on_failure error\n}")
	f.Add("phone_system a {\n field_limit 1kB\n no_null\n object\n}")
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte(text), "Caddyfile")
		if err != nil || len(tokens) == 0 {
			return
		}
		d := caddyfile.NewDispenser(tokens)
		d.Next()
		name, p, err := switchboard.ParsePhoneSystem(d)
		if err != nil {
			return
		}
		again := new(switchboard.PhoneSystem)
		if err := json.Unmarshal(caddyconfig.JSON(p, nil), again); err != nil || !reflect.DeepEqual(p, again) {
			t.Errorf("got %+v, error %v, want %+v", again, err, p)
		}
		if _, err := again.System(name); err != nil {
			t.Error(err)
		}
	})
}
