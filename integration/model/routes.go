package model

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// budget is that of every route; slack is what a busy machine may add to it.
const (
	budget = time.Second
	slack  = 1500 * time.Millisecond
)

// route is one `api` block: its lines, and beside each program the same in Go.
type route struct {
	name  string
	lines string // of the Caddyfile, without what the other fields say
	to    string // default: {API}/ask

	format   string         // "" is json
	contract map[string]any // nil: no `default`
	filters  []string
	limit    int // bytes of an answer

	require   func(params map[string]any) bool
	ask       func(params map[string]any) ([]string, error) // the values of tel that go out
	sign      func(exchange) bool                           // a not_found that is false of null
	nothing   func(exchange) bool                           // a not_found that is true of null
	unhealthy func(exchange) bool
	success   func(exchange) bool
	output    func(doc any) (any, error)
	loose     bool // a value that isn't a scalar may be a bad_answer

	// mayRefuse reports whether params may be incomplete as well as asked for.
	mayRefuse func(params map[string]any) bool

	onError            bool // on_failure error
	badRequest         bool // what can't be asked may be a 400 as well
	token              bool
	dead               bool // nothing answers at `to`
	breaker            bool // the breaker may open
	healthy            bool // only asked for answers of a healthy API
	cache              cacheKind
	maxSize, maxHeader int
	callers            []string // kinds of callers that suit it; nil: all
}

// cacheKind says what of a route's answers is kept.
type cacheKind int

const (
	uncached    cacheKind = iota
	laneCache             // every call asks; older answers when that fails; a key has one caller
	sharedCache           // answers are shared by callers at the same time
)

// errAsk is a request program that fails on the params.
var errAsk = errors.New("the request can't be made of these params")

// given is `require tel`. An array that holds nothing but blanks asks for
// everybody, as a blank does.
func given(params map[string]any) bool { return holds(params["tel"]) }

func holds(v any) bool {
	if all, ok := v.([]any); ok {
		return slices.ContainsFunc(all, holds)
	}
	return !isBlank(v)
}

// queryTexts is `query {tel: .tel}`.
func queryTexts(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		var all []string
		for _, one := range v {
			if _, nested := one.([]any); nested {
				return nil, errAsk
			}
			values, err := queryTexts(one)
			if err != nil {
				return nil, err
			}
			all = append(all, values...)
		}
		return all, nil
	case map[string]any:
		return nil, errAsk
	default:
		if s := asText(v, ""); s != "" {
			return []string{s}, nil
		}
		return nil, nil
	}
}

func askByQuery(params map[string]any) ([]string, error) { return queryTexts(params["tel"]) }

// askByBody is `body {tel: .tel}`: anything can be written as JSON.
func askByBody(params map[string]any) ([]string, error) {
	var q question
	q.addJSON(params["tel"])
	return q.tels, nil
}

// mobile is a Chinese mobile number in the spellings that callers here use.
var mobile = regexp.MustCompile(`^(?:\+86|0086)? ?(1[3-9]\d)[ -]?(\d{4})[ -]?(\d{4})$`)

// e164 is (.tel | e164("CN")) of them; "" is null.
func e164(v any) (string, error) {
	s, ok := v.(string)
	if !ok && v != nil {
		return "", errAsk
	}
	m := mobile.FindStringSubmatch(s)
	if m == nil {
		return "", nil
	}
	return "+86" + m[1] + m[2] + m[3], nil
}

var (
	threeKeys  = map[string]any{"name": "", "vip": "2", "order": ""}
	threeParts = object(map[string][]string{"name": {"data", "name"}, "vip": {"data", "vip"}, "order": {"data", "order"}})
	oneKey     = map[string]any{"name": ""}
	fourKeys   = map[string]any{"name": "", "vip": "2", "order": "", "address": map[string]any{"city": "", "zip": "none"}}
	fiveParts  = object(map[string][]string{
		"name": {"data", "name"}, "vip": {"data", "vip"}, "order": {"data", "order"},
		"address": {"data", "address"}, "tags": {"data", "tags"},
	})
	code0    = equals("0", "code")
	code4004 = equals("4004", "code")
	noData   = blank("data")
)

// The same in jq.
const (
	jqThreeParts = "output `{name: .data.name, vip: .data.vip, order: .data.order}`\n"
	jqThreeKeys  = "default `{name: \"\", vip: \"2\", order: \"\"}`\n"
	jqFiveParts  = "output `{name: .data.name, vip: .data.vip, order: .data.order, address: .data.address, tags: .data.tags}`\n"
	jqFourKeys   = "default `{name: \"\", vip: \"2\", order: \"\", address: {city: \"\", zip: \"none\"}}`\n"
	jqOneKey     = "default `{name: \"\"}`\n"
	jqCode0      = "success `.code == \"0\"`\n"
	jqSign       = "not_found `.code == \"4004\"`\n"
	jqNothing    = "not_found `.data | blank`\n"
	jqQuery      = "query `{tel: .tel, f: .f, n: .n}`\n"
	jqRequire    = "require tel\n"
	jqKey        = "key `{tel: .tel}`\n"
)

// routes are all that the test asks.
var routes = []*route{
	// The formats, and each kind of predicate.
	{
		name: "json", lines: jqQuery + jqRequire + jqThreeParts + jqThreeKeys,
		require: given, ask: askByQuery, output: threeParts, contract: threeKeys,
	},
	{
		name: "code", lines: jqQuery + jqRequire + jqCode0 + jqSign + jqFiveParts + jqFourKeys,
		require: given, ask: askByQuery, success: code0, sign: code4004, output: fiveParts, contract: fourKeys,
	},
	{
		name: "code-only", lines: jqQuery + jqRequire + jqCode0 + jqThreeParts + jqThreeKeys,
		require: given, ask: askByQuery, success: code0, output: threeParts, contract: threeKeys,
	},
	{
		name: "nothing", lines: jqQuery + jqRequire + jqCode0 + jqNothing + jqFiveParts + jqFourKeys + "format flat\n", format: "flat",
		require: given, ask: askByQuery, success: code0, nothing: noData, output: fiveParts, contract: fourKeys,
	},
	{
		name: "nothing-only", lines: jqQuery + jqRequire + jqNothing + jqFiveParts + jqFourKeys + "format form\n", format: "form",
		require: given, ask: askByQuery, nothing: noData, output: fiveParts, contract: fourKeys,
	},
	{
		name: "sign-only", lines: jqQuery + jqRequire + jqSign + "output `.data`\n" + jqThreeKeys,
		require: given, ask: askByQuery, sign: code4004, contract: threeKeys,
		output: func(doc any) (any, error) { return get(doc, "data") },
	},
	{
		name: "part", lines: jqQuery + jqRequire + "output `.data`\n" + jqThreeKeys + "format form\n", format: "form",
		require: given, ask: askByQuery, contract: threeKeys,
		output: func(doc any) (any, error) { return get(doc, "data") },
	},
	{
		name: "text", lines: jqQuery + jqRequire + jqCode0 + "output `{name: .data.name}`\n" + jqOneKey + "format text\n", format: "text",
		require: given, ask: askByQuery, success: code0, contract: oneKey, output: object(map[string][]string{"name": {"data", "name"}}),
	},
	{
		name: "text-value", lines: jqQuery + jqRequire + "output `.data.name`\n" + jqOneKey + "format text\n", format: "text",
		require: given, ask: askByQuery, contract: oneKey, output: single("name", "data", "name"), loose: true,
	},
	{
		name: "bare", lines: jqQuery + jqRequire + "default `{code: \"\", msg: \"none\"}`\nformat flat\n", format: "flat",
		require: given, ask: askByQuery, contract: map[string]any{"code": "", "msg": "none"},
	},
	{
		name: "no-default", lines: jqQuery + jqRequire + jqCode0, require: given, ask: askByQuery, success: code0, onError: true,
	},
	{
		name: "error", lines: jqQuery + jqRequire + jqThreeParts + jqThreeKeys + "on_failure error\n",
		require: given, ask: askByQuery, output: threeParts, contract: threeKeys, onError: true,
	},
	{
		name: "unhealthy", lines: jqQuery + jqRequire + "unhealthy `$status == 503 or .code == \"5000\"`\n" + jqCode0 + jqThreeParts + jqThreeKeys,
		require: given, ask: askByQuery, success: code0, output: threeParts, contract: threeKeys,
		unhealthy: func(x exchange) bool { return x.status == http.StatusServiceUnavailable || equals("5000", "code")(x) },
	},
	// Phone systems.
	{
		name: "asterisk", lines: jqQuery + jqRequire + jqCode0 + jqSign + jqFiveParts + jqFourKeys + "for asterisk\n", format: "flat",
		require: given, ask: askByQuery, success: code0, sign: code4004, output: fiveParts, contract: fourKeys,
		filters: []string{"control", "expression"}, limit: 4095,
	},
	{
		name: "kamailio", lines: jqQuery + jqRequire + jqFiveParts + jqFourKeys + "for kamailio\n", format: "flat",
		require: given, ask: askByQuery, output: fiveParts, contract: fourKeys, filters: []string{"control", "dollar"}, limit: 8191,
	},
	{
		name: "connect", lines: jqQuery + jqRequire + jqNothing + jqFiveParts + jqFourKeys + "for connect\n", format: "flat",
		require: given, ask: askByQuery, nothing: noData, output: fiveParts, contract: fourKeys, limit: 31999,
	},
	{
		name: "twilio", lines: jqQuery + jqRequire + jqCode0 + jqFiveParts + jqFourKeys + "for twilio\n",
		require: given, ask: askByQuery, success: code0, output: fiveParts, contract: fourKeys, limit: 64000, onError: true,
	},
	// Requests.
	{
		name: "post", lines: "method POST\nbody `{tel: .tel, f: .f, n: .n}`\n" + jqRequire + jqCode0 + jqThreeParts + jqThreeKeys,
		require: given, ask: askByBody, success: code0, output: threeParts, contract: threeKeys,
	},
	{
		name: "fails", lines: "query `{tel: (.tel // error(\"no number\")), f: .f, n: .n}`\n" + jqThreeParts + jqThreeKeys + "for asterisk\n", format: "flat",
		output: threeParts, contract: threeKeys, filters: []string{"control", "expression"}, limit: 4095,
		callers: []string{callerPlain, callerMissing, callerAnonymous, callerLong, callerObject, callerControl},
		ask: func(params map[string]any) ([]string, error) {
			if params["tel"] == nil {
				return nil, errAsk
			}
			return queryTexts(params["tel"])
		},
	},
	{
		name: "e164", lines: "require `.tel | e164(\"CN\") != null`\nquery `{tel: (.tel | e164(\"CN\")), f: .f, n: .n}`\n" + jqThreeParts + jqThreeKeys,
		output: threeParts, contract: threeKeys,
		callers: []string{
			callerPlain, callerMissing, callerAnonymous, callerBlank, callerBlanks, callerObject, callerArray,
			callerControl, callerGrouped, callerCode, callerTrue,
		},
		require: func(params map[string]any) bool { n, err := e164(params["tel"]); return err == nil && n != "" },
		ask: func(params map[string]any) ([]string, error) {
			n, err := e164(params["tel"])
			return []string{n}, err
		},
	},
	{
		name: "path", to: "{API}/by-path", lines: "path `[.tel]`\nquery `{f: .f, n: .n}`\n" + jqThreeParts + jqThreeKeys,
		output: threeParts, contract: threeKeys, ask: askByPath, badRequest: true,
		callers: []string{
			callerPlain, callerMissing, callerAnonymous, callerBlank, callerUp, callerUpEncoded, callerUpTwice, callerBackslash, callerSlash,
			callerUnicode, callerGrouped, callerObject,
		},
	},
	{
		name: "header", lines: jqQuery + "headers `{\"X-Tel\": .tel}`\n" + jqRequire + "breaker 50% 10 1s\n" + jqCode0 + jqSign + jqThreeParts + jqThreeKeys,
		require: given, success: code0, sign: code4004, output: threeParts, contract: threeKeys, healthy: true, ask: askByHeader, mayRefuse: oddHeader,
		badRequest: true,
	},
	// Tokens, caches, breakers, limits, and no API at all.
	{
		name: "token", lines: jqQuery + jqRequire + "token crm\n" + jqCode0 + jqSign + jqThreeParts + jqThreeKeys,
		require: given, ask: askByQuery, success: code0, sign: code4004, output: threeParts, contract: threeKeys, token: true,
	},
	{
		name: "stale", lines: jqQuery + jqRequire + "cache 1ms {\nstale 0s 1h\n" + jqKey + "}\n" + jqCode0 + jqSign + jqThreeParts + jqThreeKeys,
		require: given, ask: askByQuery, success: code0, sign: code4004, output: threeParts, contract: threeKeys, cache: laneCache,
	},
	{
		name: "shared", lines: jqQuery + jqRequire + "cache 300ms {\nstale 1s 1h\nnot_found 200ms\n" + jqKey + "}\n" + jqThreeParts + jqThreeKeys + "format flat\n",
		format: "flat", require: given, ask: askByQuery, output: threeParts, contract: threeKeys, cache: sharedCache,
	},
	{
		name: "breaker", lines: jqQuery + jqRequire + "breaker 50% 10 1s\n" + jqCode0 + jqThreeParts + jqThreeKeys,
		require: given, ask: askByQuery, success: code0, output: threeParts, contract: threeKeys, breaker: true,
	},
	{
		name: "limits", lines: jqQuery + jqRequire + "max_size 64KiB\nmax_header 8KiB\n" + jqThreeParts + jqThreeKeys,
		require: given, ask: askByQuery, output: threeParts, contract: threeKeys, maxSize: 64 << 10, maxHeader: 8 << 10,
	},
	{
		name: "refused", to: "http://127.0.0.1:{CLOSED}/ask", lines: jqQuery + jqRequire + jqThreeParts + jqThreeKeys, dead: true,
		require: given, ask: askByQuery, output: threeParts, contract: threeKeys,
	},
	{
		name: "plain-port", to: "https://{HOST}/ask", lines: jqQuery + jqRequire + jqThreeParts + jqThreeKeys, dead: true,
		require: given, ask: askByQuery, output: threeParts, contract: threeKeys,
	},
}

// single is an output that is one value: it stands for the contract's only key.
func single(key string, path ...string) func(any) (any, error) {
	return func(doc any) (any, error) {
		v, err := get(doc, path...)
		if err != nil || v == nil {
			return nil, err
		}
		return map[string]any{key: v}, nil
	}
}

// upwards is a segment that leads out of its place once it is decoded.
var upwards = regexp.MustCompile(`(?i)(^|[/\\]|%2f|%5c)(\.|%2e){1,2}($|[/\\;]|%2f|%5c)`)

func askByPath(params map[string]any) ([]string, error) {
	s, ok := params["tel"].(string)
	if !ok || s == "" || upwards.MatchString(s) {
		return nil, errAsk
	}
	return []string{s}, nil
}

// askByHeader is a query and a header, which can't hold control characters.
func askByHeader(params map[string]any) ([]string, error) {
	all, err := askByQuery(params)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return nil, errAsk
		}
	}
	return all, nil
}

// oddHeader reports whether it is open what becomes of a param in a header.
func oddHeader(params map[string]any) bool {
	s, ok := params["tel"].(string)
	return !ok || strings.ContainsFunc(s, func(c rune) bool { return c > 0x7e || c == '\t' }) || strings.TrimSpace(s) != s
}

func (r *route) sizeLimit() int {
	if r.maxSize > 0 {
		return r.maxSize
	}
	return 1 << 20
}

func (r *route) headerLimit() int {
	if r.maxHeader > 0 {
		return r.maxHeader
	}
	return 256 << 10
}

// caddyfile is the route as it is written.
func (r *route) caddyfile() string {
	to := r.to
	if to == "" {
		to = "{API}/ask"
	}
	method := ""
	if !strings.Contains(r.lines, "method ") {
		method = "method GET\n"
	}
	return fmt.Sprintf("api /%s %s {\nto %s\n%s%sbudget %v\n}\n", r.name, r.name, to, method, r.lines, budget)
}
