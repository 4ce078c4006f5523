package token

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/document"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// read decodes the body and sorts out what needs no program. The document is
// also returned with a failure, when there is one, for its code and message.
// other is what the body is when it is neither JSON nor a form, in words: such an
// answer may hold a token, but can't refuse one.
func (r *reply) read() (doc any, other string, failure *Failure) {
	broken := r.broken
	if broken == "" {
		doc, other, broken = r.document()
	}
	with := func(reason string) string {
		if r.broken == "" && broken != "" {
			return reason + " and answered with " + document.Name(r.header.Get("Content-Type"), r.body)
		}
		return reason
	}
	switch {
	case r.status == http.StatusTooManyRequests, r.status == http.StatusServiceUnavailable:
		failure = &Failure{Kind: Busy, Reason: with("the endpoint asks to come again later")}
	case r.status >= 500, r.status == http.StatusRequestTimeout:
		failure = &Failure{Kind: Ambiguous, Reason: with("the endpoint failed")}
	case r.status >= 400:
		failure = &Failure{Kind: Refused, Reason: with("the endpoint said no")}
	case r.status >= 300:
		failure = &Failure{Kind: Refused, Reason: "a redirect, which is not followed; write the final URL"}
	case broken != "":
		failure = &Failure{Kind: Ambiguous, Reason: broken}
	}
	return doc, other, failure
}

// bareToken is a text that may be a token or a short message: one line.
var bareToken = regexp.MustCompile(`^[\x20-\x7E]+$`)

// formBody is a text that is a form, whatever its Content-Type says. Base64 has
// nothing after its padding.
var formBody = regexp.MustCompile(`^[\w.%+-]+=[^\s&=][^\s&]*(&[\w.%+-]+=[^\s&]*)*$`)

// document reads the body by what it is: JSON, a form (an object of strings, and
// of arrays of them for names that repeat), bare text (a string), or nothing
// (null). broken says why it is none of these.
func (r *reply) document() (doc any, other, broken string) {
	contentType := r.header.Get("Content-Type")
	body, err := document.UTF8(contentType, r.body, 3*maxAnswer, nil)
	if err != nil {
		return nil, "", "the answer is unreadable: " + err.Error()
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, "an empty body", ""
	}
	doc, err = jsonval.Decode(body, jsonval.Limits{Bytes: 3 * maxAnswer})
	if err == nil {
		return doc, "", ""
	}
	if errors.Is(err, jsonval.ErrTooLarge) {
		return nil, "", "the answer is unreadable: " + plain(err)
	}
	what := document.Name(contentType, body)
	mediaType, _, _ := strings.Cut(contentType, ";")
	switch {
	case strings.EqualFold(strings.TrimSpace(mediaType), "application/x-www-form-urlencoded"), formBody.Match(body):
		form, ok := decodeForm(string(body))
		if !ok {
			return nil, "", "the answer is unreadable: a form that is broken"
		}
		return form, "", ""
	case (what == "text" || what == "a form") && bareToken.Match(body):
		return string(body), "text", ""
	default:
		return nil, "", "the answer is unreadable: " + what + " instead of JSON"
	}
}

// decodeForm reads a form body.
func decodeForm(body string) (map[string]any, bool) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, false
	}
	form := make(map[string]any, len(values))
	for name, all := range values {
		if len(all) == 1 {
			form[name] = all[0]
			continue
		}
		list := make([]any, len(all))
		for i, value := range all {
			list[i] = value
		}
		form[name] = list
	}
	return form, true
}

// retryAfter is how long a busy endpoint asks to wait, in seconds or until a
// time by its own clock (RFC 9110, section 10.2.3); 0 when it doesn't say.
func (r *reply) retryAfter(date time.Time) time.Duration {
	text := strings.TrimSpace(r.header.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, longestRefusal)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if date.IsZero() {
		date = time.Now()
	}
	return min(max(at.Sub(date), 0), longestRefusal)
}
