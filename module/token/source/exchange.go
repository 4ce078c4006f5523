package source

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/document"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// maxMessage is how much of an endpoint's own words is shown, in characters.
const maxMessage = 200

// secrets are the values of one token call that must not be shown.
type secrets struct {
	sent []any    // the variables of the request programs
	text []string // all that is to be hidden in a text
}

// randomLooking is a text that may be a signature or a token under any name.
var randomLooking = regexp.MustCompile(`^[\w.~+/=:|-]{16,}$`)

func looksRandom(s string) bool {
	return randomLooking.MatchString(s) && strings.ContainsAny(s, "0123456789")
}

func newSecrets(vars []any, req *http.Request) *secrets {
	s := &secrets{sent: vars}
	for _, value := range vars {
		if text, ok := value.(string); ok {
			s.add(text)
		}
	}
	// signatures and the like, which an endpoint may repeat
	for _, values := range req.URL.Query() {
		s.addRandom(values...)
	}
	for _, values := range req.Header {
		s.addRandom(values...)
	}
	walk("", bodyOf(req), func(_, text string) { s.addRandom(text) })
	return s
}

func (s *secrets) addRandom(values ...string) {
	for _, value := range values {
		if _, rest, ok := strings.Cut(value, " "); ok {
			value = rest // after a scheme such as Basic
		}
		if looksRandom(value) {
			s.add(value)
		}
	}
}

// add adds a text, also as URLs and forms write it.
func (s *secrets) add(text string) {
	if text = strings.TrimSpace(text); text == "" {
		return
	}
	for _, spelled := range []string{text, url.QueryEscape(text), url.PathEscape(text)} {
		if !slices.Contains(s.text, spelled) {
			s.text = append(s.text, spelled)
		}
	}
}

// masked masks a document: by the names in it, by the values that are known to
// be secret, and by what looks like a token.
func (s *secrets) masked(doc any) any { return hideRandom(mask.Document(doc, s.text), s) }

func hideRandom(doc any, s *secrets) any {
	switch v := doc.(type) {
	case string:
		if looksRandom(v) || slices.Contains(s.text, v) {
			return mask.Hidden
		}
	case []any:
		for i := range v {
			v[i] = hideRandom(v[i], s)
		}
	case map[string]any:
		for name := range v {
			v[name] = hideRandom(v[name], s)
		}
	}
	return doc
}

// hide masks a value of a name.
func (s *secrets) hide(name, value string) string {
	hidden, _ := hideRandom(mask.Hide(name, value, s.text), s).(string)
	return hidden
}

// describe describes a request before it is sent.
func (s *secrets) describe(how string, req *http.Request) *token.Exchange {
	headers := make(map[string]string, len(req.Header))
	for name, values := range req.Header {
		if text := strings.Join(values, ", "); text != "" {
			headers[name] = s.hide(name, text)
		}
	}
	u := *req.URL
	u.RawQuery = ""
	shown := mask.Hide("", u.String(), s.text)
	if query := req.URL.Query(); len(query) > 0 {
		parts := make([]string, 0, len(query))
		for _, name := range slices.Sorted(maps.Keys(query)) {
			for _, value := range query[name] {
				parts = append(parts, name+"="+s.hide(name, value))
			}
		}
		shown += "?" + strings.Join(parts, "&")
	}
	return &token.Exchange{Time: time.Now().UTC(), How: how, Request: token.ExchangedRequest{
		Method: req.Method, URL: shown, Headers: headers, Body: s.masked(bodyOf(req)),
	}}
}

// addAnswer completes an exchange with the answer. The tokens that it gave are
// hidden under whatever name.
func (s *secrets) addAnswer(e *token.Exchange, r *response, tokens ...string) {
	for _, token := range tokens {
		s.add(token)
	}
	e.Status = r.status
	switch {
	case r.broken != "":
		e.Answer = document.Name(r.header.Get("Content-Type"), r.body)
	case r.other != "" && r.doc == nil:
		e.Answer = r.other
	default:
		e.Answer = s.masked(r.doc)
	}
}

// bodyOf decodes the body of a request that we made.
func bodyOf(req *http.Request) any {
	if req.GetBody == nil {
		return nil
	}
	body, _ := req.GetBody() // of a string: neither can fail
	text, _ := io.ReadAll(body)
	var reader document.Reader
	doc, err := reader.Read("application/x-www-form-urlencoded", text, jsonval.Limits{}) // or JSON
	if err != nil {
		return nil
	}
	return doc
}

// message is what the endpoint says to people: the texts of its answer,
// masked and cut. A business code is shown elsewhere.
func (s *secrets) message(doc any) string {
	var parts []string
	known := code(doc, s.sent)
	walk("", s.masked(doc), func(name, text string) {
		text = strings.Join(strings.Fields(text), " ")
		if text == "" || text == known || strings.Contains(text, mask.Hidden) && len(text) <= len(mask.Hidden) {
			return
		}
		if name == "" || slices.Contains(messageNames, name) {
			parts = append(parts, text)
			return
		}
		parts = append(parts, name+": "+text)
	})
	message := []rune(strings.Join(parts, "; "))
	if len(message) > maxMessage {
		message = append(message[:maxMessage-1], '…')
	}
	return string(message)
}

// messageNames are the members that usually hold an endpoint's words.
var messageNames = []string{"msg", "message", "errmsg", "err_msg", "error_description", "errorMessage", "error_msg", "detail"}

// walk calls f with every text of a document of a name, the members of objects in order.
func walk(name string, doc any, f func(name, text string)) {
	switch v := doc.(type) {
	case string:
		f(name, v)
	case []any:
		for _, item := range v {
			walk(name, item, f)
		}
	case map[string]any:
		for _, member := range slices.Sorted(maps.Keys(v)) {
			walk(member, v[member], f)
		}
	}
}
