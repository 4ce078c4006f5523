package answer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

var names = []string{"asterisk", "connect", "cxone", "freeswitch", "genesys", "gladly", "jambonz", "kamailio", "sobot", "talkdesk", "twilio"}

func TestSystems(t *testing.T) {
	var got []string
	for _, s := range answer.Systems() {
		got = append(got, s.Name)
	}
	if !slices.Equal(got, names) {
		t.Errorf("got %v, want %v", got, names)
	}
	files, err := filepath.Glob("systems/*.json")
	if err != nil || len(files) != len(names) {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := answer.ParseSystem(text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if s.Name+".json" != filepath.Base(file) {
			t.Errorf("%s is called %s", file, s.Name)
		}
		found, err := answer.FindSystem(s.Name)
		if err != nil || found.Title != s.Title {
			t.Errorf("%s: got %v, error %v", s.Name, found, err)
		}
	}
	if _, err := answer.FindSystem("avaya"); err == nil || !strings.Contains(err.Error(), strings.Join(names, ", ")) {
		t.Errorf("got %v", err)
	}
}

// No limit is invented: what bounds answers or time has a source with a date,
// what has none is not bounded and says so.
func TestSystemsHaveSources(t *testing.T) {
	date := regexp.MustCompile(`^(before )?20\d\d-\d\d-\d\d$`)
	for _, s := range answer.Systems() {
		t.Run(s.Name, func(t *testing.T) {
			var sourced []string
			for _, source := range s.Sources {
				sourced = append(sourced, source.Of...)
				if source.From == "" || source.Says == "" || !date.MatchString(source.Date) {
					t.Errorf("a source without origin, words or date: %+v", source)
				}
			}
			for field, set := range map[string]bool{
				"limit": s.Limit > 0, "wait": s.Wait > 0, "no_null": s.NoNull, "object": s.Object, "field_limit": s.FieldLimit > 0,
			} {
				if set && !slices.Contains(sourced, field) {
					t.Errorf("%s has no source", field)
				}
				if unknown := slices.Contains(s.Unknown, field); set && unknown {
					t.Errorf("%s is set and unknown", field)
				} else if (field == "limit" || field == "wait") && !set && !unknown {
					t.Errorf("%s is neither set nor unknown", field)
				}
			}
			for _, setting := range []string{"format", "on_failure"} {
				if s.Why[setting] == "" {
					t.Errorf("no reason for %s", setting)
				}
			}
			if len(s.Filter) > 0 && s.Why["filter"] == "" {
				t.Error("no reason for the filter")
			}
			if s.Title == "" || !s.Voice {
				t.Errorf("title %q, voice %v", s.Title, s.Voice)
			}
			if s.Tested != (s.Name == "kamailio") || !s.Tested && !strings.HasPrefix(s.Test, "No client and no emulator of it is in our tests.") {
				t.Errorf("tested %v: %s", s.Tested, s.Test)
			}
		})
	}
}

// The budgets: fixed for those whose time is tight, else 40 % of what the
// system waits and at most 5 s.
func TestBudgets(t *testing.T) {
	fixed := map[string]time.Duration{"connect": 1800 * time.Millisecond, "gladly": 1500 * time.Millisecond, "kamailio": 3 * time.Second}
	for _, s := range answer.Systems() {
		want, ok := fixed[s.Name]
		if !ok {
			want = min(s.Wait*2/5, 5*time.Second)
		}
		if s.Budget != want {
			t.Errorf("%s: budget %s, want %s", s.Name, s.Budget, want)
		}
	}
}

func TestParseSystemRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                                                          "EOF",
		`{"name":"a","format":"json"} {}`:                           "behind",
		`{"name":"a","format":"json"} x`:                            "behind",
		`{"name":"a","format":"json","lim":1}`:                      "lim",
		`{"name":"a","format":"xml"}`:                               "xml",
		`{"name":"a"}`:                                              "format",
		`{"name":"A","format":"json"}`:                              "no name",
		`{"name":"","format":"json"}`:                               "no name",
		`{"name":"a","format":"json","limit":-1}`:                   "limit",
		`{"name":"a","format":"json","field_limit":-1}`:             "field_limit",
		`{"name":"a","format":"json","wait":"-1s"}`:                 "wait",
		`{"name":"a","format":"json","wait":"long"}`:                "wait",
		`{"name":"a","format":"json","budget":"-1s"}`:               "budget",
		`{"name":"a","format":"json","budget":"2"}`:                 "budget",
		`{"name":"a","format":"json","wait":"2s","budget":"2s"}`:    "waits 2s",
		`{"name":"a","format":"json","on_failure":"never"}`:         "on_failure",
		`{"name":"a","format":"json","filter":["quotes"]}`:          "control, dollar, expression",
		`{"name":"a","format":"flat","object":true}`:                "object",
		`{"name":"a","format":"form","no_null":true}`:               "no_null",
		`{"name":"a","format":"json","filter":["dollar","dollar"]}`: "twice",
	} {
		if _, err := answer.ParseSystem([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if _, err := answer.NewSystem(answer.System{Name: "a", Format: 9}); err == nil {
		t.Error("9 is a format")
	}
}

func FuzzParseSystem(f *testing.F) {
	for _, name := range names {
		text, err := os.ReadFile("systems/" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := answer.ParseSystem(text)
		if err != nil {
			return
		}
		style := s.Style()
		if out, err := style.Append(nil, m{"a": "1"}); err == nil && s.Limit > 0 && len(out) > s.Limit {
			t.Errorf("%d bytes of %d", len(out), s.Limit)
		}
	})
}

// read takes an answer apart as a phone system would, and tells what it can't
// take.
func read(t *testing.T, s *answer.System, text []byte) any {
	t.Helper()
	line(t, text)
	if s.Limit > 0 && len(text) > s.Limit {
		t.Errorf("%d bytes, limit %d", len(text), s.Limit)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	object, isObject := v.(m)
	if s.Format == answer.Flat {
		for key, value := range object {
			if _, ok := value.(string); !ok {
				t.Errorf("%q is %T", key, value)
			}
		}
	}
	if !isObject && (s.Object || s.Format == answer.Flat) {
		t.Errorf("no object: %s", text)
	}
	walk(v, func(text any) {
		if text == nil {
			if s.Name == "talkdesk" {
				t.Error("null")
			}
			return
		}
		word := text.(string)
		forbidden := map[string]string{"asterisk": `"\`, "kamailio": "$", "freeswitch": "$"}[s.Name]
		if strings.ContainsAny(word, forbidden) || forbidden != "" && strings.ContainsFunc(word, unicode.IsControl) {
			t.Errorf("%q reached %s", word, s.Name)
		}
	})
	return v
}

// walk calls f with all strings, keys and nulls.
func walk(v any, f func(any)) {
	switch v := v.(type) {
	case nil, string:
		f(v)
	case []any:
		for _, value := range v {
			walk(value, f)
		}
	case m:
		for key, value := range v {
			f(key)
			walk(value, f)
		}
	}
}

// check writes doc under a contract for every phone system and reads it back.
func check(t *testing.T, contract *answer.Contract, doc any) {
	t.Helper()
	out, err := contract.Apply(doc, answer.JSON)
	if err != nil {
		return
	}
	for _, s := range answer.Systems() {
		style := s.Style()
		if style.Fits(contract, "") != nil {
			continue // such a configuration isn't loaded
		}
		text, err := style.Append(nil, out)
		if err != nil {
			if !errors.Is(err, jsonval.ErrTooLarge) && !errors.Is(err, answer.ErrCollision) {
				t.Errorf("%s: %v", s.Name, err)
			}
			if len(text) > 0 {
				t.Errorf("%s: %d bytes of a refused answer", s.Name, len(text))
			}
			// what remains is the default
			if text, err = style.Append(nil, contract.Default()); err != nil {
				t.Errorf("%s: the default: %v", s.Name, err)
				continue
			}
		}
		object, ok := read(t, s, text).(m)
		if !ok {
			t.Errorf("%s: %s", s.Name, text)
			continue
		}
		for _, key := range contract.Keys() {
			found := false
			for k := range object {
				found = found || k == key || s.Format == answer.Flat && strings.HasPrefix(k, key+"_")
			}
			if !found {
				t.Errorf("%s: %q is not in %s", s.Name, key, text)
			}
		}
	}
}

// FuzzSystems: whatever an API answers, each phone system gets what it can
// read, with every key of the contract, or an error and nothing.
func FuzzSystems(f *testing.F) {
	f.Add(`{"name":"","vip":"2"}`, `{"name":"x\" & \"1","vip":null,"remark":"${SHELL(id)}\r\n\u2028\\","ts":1656143373000}`)
	f.Add(`{"o":{"x":"1"},"l":[]}`, `{"o":{"y$":[null,true]},"l":[{"a\"":1.10}],"\u0085":"＄"}`)
	f.Add(`{"a":null}`, `null`)
	f.Fuzz(func(t *testing.T, defaults, doc string) {
		d, err := jsonval.Decode([]byte(defaults), jsonval.Limits{Depth: 50})
		object, ok := d.(m)
		if err != nil || !ok {
			return
		}
		v, err := jsonval.Decode([]byte(doc), jsonval.Limits{Depth: 50})
		if err != nil {
			return
		}
		check(t, answer.NewContract(object), v)
		for _, s := range answer.Systems() { // without a contract
			style := s.Style()
			if text, err := style.Append(nil, v); err == nil {
				read(t, s, text)
			}
		}
	})
}

// The same with documents made at random, some of them over the limits.
func TestSystemsTakeWhatIsMadeAtRandom(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	contract := answer.NewContract(m{"name": "", "vip": "2", "tags": []any{}, "address": m{"city": "", "zip": ""}, "balance": 0})
	for i := range 2000 {
		doc := m{}
		for _, key := range []string{"name", "vip", "tags", "address", "balance", text(r, 6), text(r, 6)} {
			if r.IntN(4) > 0 {
				doc[key] = value(r, 4)
			}
		}
		check(t, contract, doc)
		if t.Failed() {
			t.Fatalf("seed %d, document %d", seed, i)
		}
	}
}

func value(r *rand.Rand, depth int) any {
	switch n := r.IntN(12); {
	case n == 0:
		return nil
	case n == 1:
		return r.IntN(2) == 0
	case n == 2:
		return json.Number(fmt.Sprint(r.Int64(), ".", r.IntN(100)))
	case n == 3:
		return r.Int()
	case n == 4 && r.IntN(20) == 0:
		return strings.Repeat(text(r, 10)+"x", r.IntN(8000))
	case n < 9 || depth == 0:
		return text(r, 20)
	case n == 9:
		list := make([]any, r.IntN(5))
		for i := range list {
			list[i] = value(r, depth-1)
		}
		return list
	default:
		object := m{}
		for range r.IntN(5) {
			object[text(r, 5)] = value(r, depth-1)
		}
		return object
	}
}

func text(r *rand.Rand, n int) string {
	letters := []rune("abc_\"\\$'`&|=(){}[]\r\n\t\x00\x7f\u0085\u2028张😀é＄ ")
	out := make([]rune, r.IntN(n+1))
	for i := range out {
		out[i] = letters[r.IntN(len(letters))]
	}
	return string(out)
}
