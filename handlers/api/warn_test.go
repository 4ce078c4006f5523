package api

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// What is written in a chain and can't be meant is said when the configuration is loaded.
func TestWarningsOfAChain(t *testing.T) {
	const withTel = "{tel: .tel}"
	for name, test := range map[string]struct {
		params, output string
		part           func(*API)
		want           []string
	}{
		"nothing": {withTel, `{name: $c.name, how: $c._status, age: $c._age}`, nil, nil},
		"params that may be no object": {
			".tel", `{name: $c.name}`, nil,
			[]string{"with c: gives what .tel is, an object is needed; write {name: .tel} for an object with one member"},
		},
		"the answer of an api without one": {
			withTel, `{id: .id, name: $c.name}`, nil,
			[]string{"output uses .id, but an api without `to` has no answer of its own: `.` is null; write e.g. `$c.id`"},
		},
		"a key that neither the output nor the contract has": {
			withTel, `{name: $c.nmae}`, func(a *API) { a.Output = `{name: .n, more: .m}` },
			[]string{"output uses $c.nmae, which is always null: api part names no such key; it names id, more, name"},
		},
		"a key that the output lacks": {
			withTel, `{name: $c.nmae}`, func(a *API) { a.Default, a.Output = "", `{name: .n}` },
			[]string{"output uses $c.nmae, which is always null: api part names no such key; it names name"},
		},
		"a key that the contract lacks": {
			withTel, `{name: $c.nmae}`, nil,
			[]string{"output uses $c.nmae, which may be null: api part names no such key; it names id, name"},
		},
		"a key beyond the contract":      {withTel, `{name: $c.more}`, func(a *API) { a.Output = `{more: .m, id: .i, name: .n}` }, nil},
		"a key that the answer may have": {withTel, `{name: $c.nmae}`, func(a *API) { a.Default = "" }, nil},
		"a param by another name": {
			"{phone: .tel}", `{name: $c.name}`, nil,
			[]string{"with c gives api part the param phone, which it doesn't read; it reads tel, which isn't given"},
		},
		"a param by another name, which is required": {
			"{phone: .tel}", `{name: $c.name}`, func(a *API) { a.Query, a.Require = "", &Require{Params: []string{"tel"}} },
			[]string{"with c gives api part the param phone, which it doesn't read; it reads tel, which isn't given"},
		},
		"a param too many":              {"{tel: .tel, phone: .tel}", `{name: $c.name}`, nil, nil},
		"a param that may be left out":  {"{}", `{name: $c.name}`, nil, nil},
		"params that are all passed on": {"{phone: .tel}", `{name: $c.name}`, func(a *API) { a.Pass = &Pass{Query: true} }, nil},
		"params that output may read":   {"{phone: .tel}", `{name: $c.name}`, func(a *API) { a.Output = `{name: $params.phone}` }, nil},
		"params that nobody knows":      {".", `{name: $c.name}`, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			apis := app(t,
				&API{Name: "both", With: []With{{Var: "c", API: "part", Params: test.params}}, Output: test.output},
				single(t, "part", says(ann), func(a *API) {
					a.Query, a.Default = "{tel: .tel}", `{id: "", name: ""}`
					if test.part != nil {
						test.part(a)
					}
				}))
			both := apis["both"]
			core, logs := observer.New(zap.WarnLevel)
			both.route.Logger = zap.New(core)
			ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
			defer cancel()
			both.warn(ctx)
			if err := both.link(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, entry := range logs.All() {
				got = append(got, entry.Message)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %s", strings.Join(got, "\n"))
			}
		})
	}
}

// Each name is said once, however many lines have it.
func TestUndescribedParams(t *testing.T) {
	apis := app(t, single(t, "order", says(ann), func(a *API) {
		a.Query, a.Params = "{tel: .tel, note: .note}", []Param{{Name: "tel", Meaning: "Number"}}
		a.Require = &Require{Params: []string{"tel"}, Conditions: []string{`.tel != "0"`}}
	}))
	const want = "a request program uses .note, which no `param` and no `require` names; they name tel"
	if got := apis["order"].undescribedParams(); !slices.Equal(got, []string{want}) {
		t.Errorf("got %q", got)
	}
}
