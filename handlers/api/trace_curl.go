package api

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// sentRequest is the API's request as people see it, masked.
type sentRequest struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body,omitempty"`
}

// sent shows a request, with the header that the transport adds where there is a
// token to add.
func (t tracer) sent(req *http.Request) sentRequest {
	at := t.api.target.scheme + "://" + req.Host + req.URL.RequestURI()
	shown := sentRequest{
		Method:  req.Method,
		URL:     mask.Hide("", mask.URI(at), t.secrets),
		Headers: make(map[string]string, len(req.Header)+1),
	}
	for name, values := range req.Header {
		if len(values) > 0 {
			shown.Headers[name] = mask.Hide(name, strings.Join(values, ", "), t.secrets)
		}
	}
	if source := t.api.source; source != nil && t.held() != nil {
		if in := source.Injection(); in.Where == token.InHeader {
			shown.Headers[in.Name] = in.Prefix + mask.Hidden + in.Suffix
		}
	}
	if body := bodyOf(req); body != "" {
		shown.Body = t.document(body)
	}
	return shown
}

func bodyOf(req *http.Request) string {
	if req.GetBody == nil {
		return ""
	}
	body, err := req.GetBody()
	if err != nil {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(body, maxShown))
	return string(text)
}

// maxShown is how much of a body is looked at to show it.
const maxShown = 64 << 10

// document is a text of JSON or another one, masked.
func (t tracer) document(text string) any {
	if doc, err := jsonval.Decode([]byte(text), jsonval.Limits{}); err == nil {
		return mask.Document(doc, t.secrets)
	}
	return mask.Hide("", text, t.secrets)
}

// curl is the request as a command.
func (s sentRequest) curl() string {
	var b strings.Builder
	b.WriteString("curl")
	if s.Method != http.MethodGet {
		b.WriteString(" -X " + s.Method)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		b.WriteString(" -H " + quoted(name+": "+s.Headers[name]))
	}
	if s.Body != nil {
		text, ok := s.Body.(string)
		if !ok {
			encoded, _ := jsonval.Encode(nil, s.Body, jsonval.Limits{}) // of what was decoded
			text = string(encoded)
		}
		b.WriteString(" -d " + quoted(text))
	}
	b.WriteString(" " + quoted(s.URL))
	return b.String()
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
