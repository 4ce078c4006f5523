package model

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// call is one call of a phone system: how it is sent, and what its params are.
type call struct {
	n      int
	route  *route
	fault  string
	caller string
	tel    string // the number that a well-behaved caller would send

	method, query, contentType, encoding string
	body                                 []byte
	hangUp                               time.Duration // after which the caller leaves; 0: never

	refused []int            // statuses of a request that can't be taken
	byCaddy bool             // Caddy may refuse it with 431 before it comes to a route
	params  []map[string]any // what may be read; one unless that is open
}

// The kinds of callers.
const (
	callerPlain     = "plain"
	callerMissing   = "no number"
	callerAnonymous = "anonymous"
	callerBlank     = "blank"
	callerBlanks    = "blanks"
	callerLong      = "long"
	callerObject    = "an object"
	callerArray     = "an array"
	callerNumber    = "a number"
	callerTrue      = "true"
	callerControl   = "control characters"
	callerGrouped   = "grouped"
	callerCode      = "country code"
	callerUp        = ".."
	callerUpEncoded = "%2e%2e"
	callerUpTwice   = "a/../b"
	callerBackslash = `..\b`
	callerSlash     = "a/b"
	callerUnicode   = "unicode"
)

// sender makes a call of a kind: its way of sending, and what that means.
type sender func(c *call)

// query sends tel in the query, as it is given.
func inQuery(tel func(tel string) string) sender {
	return func(c *call) {
		s := tel(c.tel)
		c.query += "&tel=" + url.QueryEscape(s)
		c.reads(s)
	}
}

// inJSON sends a body of JSON with tel as a JSON value.
func inJSON(tel string) sender {
	return func(c *call) {
		value := strings.ReplaceAll(tel, "TEL", c.tel)
		c.method, c.contentType = http.MethodPost, "application/json"
		c.body = []byte(`{"tel":` + value + `}`)
		c.reads(parse(value))
	}
}

// notTaken sends what has to be refused with one of the statuses.
func notTaken(contentType, body string, statuses ...int) sender {
	return func(c *call) {
		c.method, c.contentType, c.body = http.MethodPost, contentType, []byte(strings.ReplaceAll(body, "TEL", c.tel))
		c.refused = statuses
	}
}

// badQuery adds to the query what can't be read.
func badQuery(raw string, statuses ...int) sender {
	return func(c *call) {
		c.query += raw
		c.refused = statuses
	}
}

// by is a plain call with another method.
func by(method string, refused bool) sender {
	return func(c *call) {
		callers[callerPlain](c)
		c.method = method
		if refused {
			c.params, c.refused = nil, []int{http.StatusMethodNotAllowed}
		}
	}
}

// reads sets the params: tel beside what every call has. nil is not given.
func (c *call) reads(tels ...any) {
	for _, tel := range tels {
		p := map[string]any{}
		if tel != nil && tel != "" {
			p["tel"] = tel
		}
		c.params = append(c.params, p)
	}
}

const form = "application/x-www-form-urlencoded"

// callers are the kinds by name. Plain ones are more often than others.
var callers map[string]sender

func init() { // by is in the table that it reads
	as := func(s string) sender { return inQuery(func(string) string { return s }) }
	callers = map[string]sender{
		callerPlain: inQuery(func(tel string) string { return tel }),
		"plain form": func(c *call) {
			c.method, c.contentType, c.body = http.MethodPost, form, []byte("tel="+c.tel)
			c.reads(c.tel)
		},
		"plain JSON":  inJSON(`"TEL"`),
		"empty POST":  by(http.MethodPost, false),
		callerNumber:  inJSON(`TEL`),
		callerTrue:    inJSON(`true`),
		callerObject:  inJSON(`{"x":"TEL"}`),
		"nested":      inJSON(`[["TEL"]]`),
		callerArray:   inJSON(`["TEL","x"]`),
		"[null, tel]": inJSON(`[null,"TEL"]`),
		"[null]":      inJSON(`[null]`),
		"[\"\"]":      inJSON(`[""]`),
		"[]":          inJSON(`[]`),
		"{}":          inJSON(`{}`),
		"null":        inJSON(`null`),
		"blank JSON":  inJSON(`""`),
		"long number": inJSON(`138001380001380013800013800138000.5`),

		callerMissing:   func(c *call) { c.reads(nil) },
		callerBlank:     as(""),
		callerAnonymous: as("anonymous"),
		callerBlanks:    func(c *call) { as("  ")(c); c.reads(nil) }, // a blank, or blank: both are read so
		callerControl:   as("\x01\x02\n\x7f"),
		"line break":    as("1\r\nX-Injected: 1"),
		callerLong:      as(strings.Repeat("9", 4000)),
		"very long":     as(strings.Repeat("x", 12000)),
		callerGrouped:   inQuery(func(tel string) string { return tel[:3] + " " + tel[3:7] + "-" + tel[7:] }),
		callerCode:      inQuery(func(tel string) string { return "+86" + tel }),
		callerUp:        as(".."),
		callerUpEncoded: as("%2e%2e"),
		callerUpTwice:   as("a/../b"),
		callerBackslash: as(`..\b`),
		callerSlash:     as("a/b"),
		callerUnicode:   as("张三 😀 \u202a\u00a0é"),
		"syntax":        as(`";'<>&=+%#?$(id)\{}[]|` + "`"),
		"jq":            as(`\(env) $ENV .. | error`),
		"placeholder":   as("{env.CRM_APP_SECRET}{http.request.uri}"),
		"twice": func(c *call) {
			c.query += "&tel=" + c.tel + "&tel=y"
			c.reads([]any{c.tel, "y"})
		},
		"query and form": func(c *call) {
			c.query += "&tel=SOMEBODY"
			callers["plain form"](c)
		},
		"query and JSON": func(c *call) {
			c.query += "&tel=SOMEBODY"
			inJSON(`"TEL"`)(c)
		},
		"raw plus": func(c *call) {
			c.query += "&tel=+86" + c.tel
			c.reads("+86"+c.tel, " 86"+c.tel)
		},

		"NUL":                badQuery("&tel=1%00", 400),
		"invalid UTF-8":      badQuery("&tel=%ff%fe", 400),
		"broken escape":      badQuery("&tel=%zz", 400),
		"overlong UTF-8":     badQuery("&tel=%c0%ae", 400),
		"surrogates":         badQuery("&tel=%ed%a0%80", 400),
		"no name":            badQuery("&=x&tel=1", 400),
		"1500 params":        badQuery(strings.Repeat("&p%5b%5d=1", 1500), 400),
		"70 KiB of query":    func(c *call) { badQuery("&tel="+strings.Repeat("1", 70<<10), 414)(c); c.byCaddy = true },
		"malformed JSON":     notTaken("application/json", `{"tel":"TEL"`, 400),
		"two documents":      notTaken("application/json", `{"tel":"TEL"}{"tel":"SOMEBODY"}`, 400),
		"a JSON array":       notTaken("application/json", `["TEL"]`, 400),
		"JSON text":          notTaken("application/json", `"TEL"`, 400),
		"deep JSON":          notTaken("application/json", `{"tel":`+strings.Repeat("[", 3000)+strings.Repeat("]", 3000)+`}`, 400),
		"NaN in JSON":        notTaken("application/json", `{"tel":NaN}`, 400),
		"invalid UTF-8 JSON": notTaken("application/json", "{\"tel\":\"\xff\"}", 400),
		"NUL in JSON":        notTaken("application/json", `{"tel":"a\u0000"}`, 400),
		"JSON as a form":     notTaken(form, `{"tel":"TEL"}`, 400),
		"broken escape form": notTaken(form, `tel=%zz`, 400),
		"XML":                notTaken("text/xml", "<tel>TEL</tel>", 415),
		"no content type":    notTaken("", "tel=TEL", 415),
		"JSON in GBK":        notTaken("application/json; charset=gbk", `{"tel":"TEL"}`, 415),
		"a file":             notTaken("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"tel\"; filename=\"x\"\r\n\r\nTEL\r\n--b--\r\n", 415),
		"a broken multipart": notTaken("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"tel\"\r\n\r\nTEL", 400),
		"an oversized body":  notTaken("application/json", `{"tel":"`+strings.Repeat("1", 1100<<10)+`"}`, 413),
		"a body of many items": func(c *call) { // may be too much, and asks for nobody
			notTaken("application/json", `{"z":[`+strings.Repeat(`{"a":{}},`, 40<<10)+`0]}`, 400, 413, 503)(c)
			c.reads(nil)
		},
		"a compressed body": func(c *call) {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			_, _ = w.Write([]byte(`{"tel":"1"}`))
			_ = w.Close()
			notTaken("application/json", b.String(), 415)(c)
			c.encoding = "gzip"
		},

		"HEAD":     by(http.MethodHead, false),
		"PUT":      by(http.MethodPut, false),
		"PATCH":    by(http.MethodPatch, false),
		"DELETE":   by(http.MethodDelete, false),
		"TRACE":    by(http.MethodTrace, true),
		"OPTIONS":  by(http.MethodOptions, true),
		"PROPFIND": by("PROPFIND", true),
		"TRACK":    by("TRACK", true),
		"QUERY":    by("QUERY", true),

		"hangs up": func(c *call) { callers[callerPlain](c); c.hangUp = time.Millisecond },
	}
	callerNames = slices.Sorted(func(yield func(string) bool) {
		for name := range callers {
			if !yield(name) {
				return
			}
		}
	})
}

var callerNames []string

// healthyFaults are those that a healthy API may show to a caller who asks for
// what isn't there, or asks it wrongly.
var healthyFaults = []string{"good", "code 4004", "code 900001", "400 JSON", "409 JSON", "404 JSON", "code 4004, status 404", "name is an array"}

// lane is one caller's stretch of calls, made one after the other.
type lane struct {
	id    int
	epoch map[string]int // of numbers, by route: a new one after a call that may go on
}

// numbersOfALane is how many telephone numbers a lane uses on a route at a time.
const numbersOfALane = 4

// make generates call n: the same one for the same seed, and for the same calls
// of its lane before it.
func (l *lane) make(seed uint64, n int) *call {
	rng := rand.New(rand.NewPCG(seed, uint64(n))) //nolint:gosec // G115, G404: a test's own numbers, not secrets
	c := &call{n: n, route: routes[rng.IntN(len(routes))], method: http.MethodGet}
	c.fault = faultNames[rng.IntN(len(faultNames))]
	kinds := callerNames
	if c.route.callers != nil {
		kinds = c.route.callers
	}
	c.caller = kinds[rng.IntN(len(kinds))]
	switch rng.IntN(10) {
	case 0, 1, 2, 3, 4, 5: // an odd API, and a caller who isn't
		c.caller = callerPlain
	case 6, 7: // an odd caller
		c.fault = "good"
	default: // both
	}
	if c.route.healthy {
		c.fault = healthyFaults[rng.IntN(len(healthyFaults))]
	}
	group := fmt.Sprintf("%03d", l.id)
	if c.route.cache == sharedCache {
		group = "999"
	}
	c.tel = fmt.Sprintf("138%s%03d%02d", group, l.epoch[c.route.name], rng.IntN(numbersOfALane)+1)
	c.query = fmt.Sprintf("f=%s&n=%d", url.QueryEscape(c.fault), n)
	callers[c.caller](c)
	if c.hangUp > 0 {
		c.hangUp = time.Duration(1+rng.IntN(60)) * time.Millisecond
	}
	if c.hangUp > 0 || slow[c.fault] {
		l.epoch[c.route.name]++
	}
	return c
}

// request is the call as HTTP, but for its address.
func (c *call) request(base string) (*http.Request, error) {
	var body *bytes.Reader
	if body = bytes.NewReader(c.body); c.body == nil {
		body = bytes.NewReader(nil)
	}
	req, err := http.NewRequest(c.method, base+"/"+c.route.name, body)
	if err != nil {
		return nil, err
	}
	req.URL.RawQuery = c.query
	if c.contentType != "" {
		req.Header.Set("Content-Type", c.contentType)
	}
	if c.encoding != "" {
		req.Header.Set("Content-Encoding", c.encoding)
	}
	return req, nil
}

// large reports whether a server may close the connection before it has read
// the body to its end: net/http does so past 256 KiB.
func (c *call) large() bool { return len(c.body) > 256<<10 }

// question is what the API is asked for params.
func (c *call) question(params map[string]any) (question, error) {
	tels, err := c.route.ask(params)
	return question{tels: tels, fault: c.fault, n: fmt.Sprint(c.n)}, err
}

// String describes the call without telephone numbers.
func (c *call) String() string {
	body, _ := json.Marshal(string(c.body[:min(len(c.body), 200)]))
	return fmt.Sprintf("%s /%s?%.300s %s %s", c.method, c.route.name, c.query, c.contentType, body)
}
