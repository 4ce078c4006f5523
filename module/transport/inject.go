package transport

import (
	"bytes"
	"encoding/json"
	"hash/maphash"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/switchboard-ivr/switchboard/internal/jqhttp"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// maxReplay is how many bytes of a request body are recorded for a replay, and
// the maximum size of a body that the token is written into.
const maxReplay = 1 << 20

// outgoing is a request on its way to the API, for one or two attempts.
type outgoing struct {
	req *http.Request
	// body and trailer of the next attempt
	body    io.ReadCloser
	trailer http.Header
	// announced is the client's trailer before the body has been read.
	announced http.Header
	record    *rewinder        // nil if the body isn't recorded
	doc       *requestDocument // set instead if the token goes into the body
}

// prepare prepares a request's body for as many attempts as there may be. If it
// fails, it has closed the body.
func (t *Transport) prepare(out *outgoing, a *Attempt) (err error) {
	req := out.req
	if t.inject.Where == token.InBody {
		out.doc, err = readDocument(req, maxReplay)
		return err
	}
	if !out.hasBody() {
		return nil
	}
	limit := maxReplay
	if !t.replays(a) || req.ContentLength > maxReplay || req.GetBody != nil {
		limit = 0
	}
	var trailer func() http.Header
	if t.inject.Where == token.InHeader && req.Trailer != nil && (len(req.Trailer) > 0 || req.ContentLength < 0) {
		trailer = func() http.Header { return withoutField(req.Trailer, t.inject.Name) }
		out.announced = trailer()
	}
	if limit == 0 && trailer == nil {
		return nil
	}
	out.record = newRewinder(req.Body, req.ContentLength, limit, trailer)
	return out.rewind()
}

// replays reports whether the transport is responsible for the replay. If it
// injects nothing, the handler has put the token into the request, and must build
// it again.
func (t *Transport) replays(a *Attempt) bool {
	return !a.NoReplay && !a.Replayed && t.inject.Where != token.InNone
}

var numberSeed = maphash.MakeSeed()

// number identifies what the request asks for: two requests for the same have the
// same number. If the request depends on the token or the time, because it is
// signed, the number is derived from the caller's params.
func (out *outgoing) number(a *Attempt) uint64 {
	var h maphash.Hash
	h.SetSeed(numberSeed)
	_, _ = h.WriteString(out.req.Method + " " + out.req.URL.Host + out.req.URL.Path + "?")
	if a.NoReplay && a.Params != nil {
		if text, err := json.Marshal(a.Params); err == nil {
			_, _ = h.Write(text)
		}
		return h.Sum64()
	}
	_, _ = h.WriteString(out.req.URL.RawQuery + "\n")
	switch {
	case out.doc != nil:
		_, _ = h.Write(out.doc.text)
	case out.record != nil:
		_, _ = h.Write(out.record.recorded())
	case out.req.GetBody != nil:
		if body, err := out.req.GetBody(); err == nil {
			_, _ = io.CopyN(&h, body, maxReplay)
			_ = body.Close()
		}
	}
	return h.Sum64()
}

func (out *outgoing) hasBody() bool { return out.req.Body != nil && out.req.Body != http.NoBody }

// repeatable reports whether the body can be sent again, as far as is known.
func (out *outgoing) repeatable() bool {
	return out.doc != nil || !out.hasBody() || out.req.GetBody != nil || out.record != nil && !out.record.isLost()
}

// rewind restarts the body for the next attempt. The previous attempt must have
// ended.
func (out *outgoing) rewind() (err error) {
	switch {
	case out.doc != nil || !out.hasBody():
	case out.record != nil:
		out.trailer = maps.Clone(out.announced)
		out.body, err = out.record.view(out.trailer)
	case out.req.GetBody != nil:
		out.body, err = out.req.GetBody()
	default:
		err = errNotKept
	}
	return err
}

// settle declares that there is no further attempt.
func (out *outgoing) settle() {
	if out.record != nil {
		out.record.settle()
	}
}

// sign returns the request of one attempt: a copy with its own header and URL,
// which contains the token.
func (t *Transport) sign(out *outgoing, tok *token.Token) (*http.Request, error) {
	try := out.req.WithContext(out.req.Context())
	try.Body, try.Trailer = out.body, out.trailer
	if record := out.record; record != nil && out.trailer == nil {
		// lets net/http repeat a request that a closing connection has not
		// accepted
		try.GetBody = func() (io.ReadCloser, error) { return record.view(nil) }
	}
	value := t.inject.Prefix + tok.Access + t.inject.Suffix
	switch t.inject.Where {
	case token.InHeader:
		try.Header = withHeader(try.Header, t.inject.Name, value)
	case token.InQuery:
		try.URL = new(*try.URL)
		try.URL.RawQuery = withParameter(try.URL.RawQuery, t.inject.Name, value)
	case token.InBody:
		if err := out.doc.writeInto(try, t.inject.Name, value); err != nil {
			return nil, err
		}
	}
	if t.rule.program != nil {
		if accept := try.Header["Accept-Encoding"]; accept != nil {
			if t.inject.Where != token.InHeader {
				try.Header = maps.Clone(try.Header)
			}
			try.Header["Accept-Encoding"] = readable(accept)
		}
	}
	return try, nil
}

// writeInto makes the document, with the token in it, the body of a request.
func (d *requestDocument) writeInto(r *http.Request, name, value string) error {
	text, err := d.with(name, value)
	if err != nil {
		return err
	}
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	r.Body, _ = r.GetBody()
	r.ContentLength, r.TransferEncoding, r.Trailer = int64(len(text)), nil, nil
	r.Header = copyOf(r.Header)
	// digests of the original body
	for _, field := range []string{"Content-Length", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest", "Trailer"} {
		delete(r.Header, field)
	}
	if r.Header.Get("Content-Type") == "" {
		r.Header["Content-Type"] = []string{contentType}
	}
	return nil
}

// connectionFields list other header fields by name. A client that lists the
// token's field there asks the next hop to drop it.
var connectionFields = []string{"Connection", "Trailer", "Te"}

// withHeader returns a copy of h in which name has value, and nothing else could
// be taken for it: no copy by the client in any spelling, and no field that asks
// for its removal. The slices of other fields are shared with h.
func withHeader(h http.Header, name, value string) http.Header {
	out := withoutField(h, name)
	for _, field := range connectionFields {
		if lines, ok := out[field]; ok {
			if lines = withoutMember(lines, name); len(lines) == 0 {
				delete(out, field)
			} else {
				out[field] = lines
			}
		}
	}
	out[name] = []string{value}
	return out
}

// copyOf returns a copy of a header that may be nil. The slices are shared.
func copyOf(h http.Header) http.Header {
	if h == nil {
		return make(http.Header, 1)
	}
	return maps.Clone(h)
}

// withoutField returns a copy of a header or trailer without the fields that could be
// taken for name. Recipients may merge a trailer into the header (RFC 9110, section
// 6.5.2).
func withoutField(h http.Header, name string) http.Header {
	out := copyOf(h)
	maps.DeleteFunc(out, func(key string, _ []string) bool { return sameField(key, name) })
	return out
}

// withoutMember returns lines, the values of a comma-separated field, without the
// members that spell name. It returns lines itself if there are none.
func withoutMember(lines []string, name string) []string {
	spells := func(member string) bool { return sameField(strings.TrimSpace(member), name) }
	if !slices.ContainsFunc(lines, func(line string) bool {
		return slices.ContainsFunc(strings.Split(line, ","), spells)
	}) {
		return lines
	}
	var rest []string
	for _, line := range lines {
		members := slices.DeleteFunc(strings.Split(line, ","), spells)
		if len(members) > 0 {
			rest = append(rest, strings.TrimSpace(strings.Join(members, ",")))
		}
	}
	return rest
}

// sameField reports whether a server could take one field name for the other.
// Case never counts; CGI and its successors can't tell a hyphen from an
// underscore or another sign, either.
func sameField(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if foldField(a[i]) != foldField(b[i]) {
			return false
		}
	}
	return true
}

func foldField(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	default:
		return '-'
	}
}

// withParameter returns a raw query, or a form body, in which name has value
// exactly once, at the end. The client's copies are removed in any spelling.
// Everything else stays byte for byte and in its order, so that a signature over
// it stays valid.
func withParameter(raw, name, value string) string {
	rest := withoutParameter(raw, name)
	if rest != "" {
		rest += "&"
	}
	return rest + escapeParameter(name) + "=" + escapeParameter(value)
}

// withoutParameter returns a raw query without the parts that spell name.
func withoutParameter(raw, name string) string {
	var out strings.Builder
	out.Grow(len(raw))
	wrote := false
	// Some servers still split at semicolons, so a copy may follow one.
	for start, separator := 0, byte(0); ; {
		end := len(raw)
		if i := strings.IndexAny(raw[start:], "&;"); i >= 0 {
			end = start + i
		}
		if part := raw[start:end]; !spellsParameter(part, name) {
			if wrote {
				out.WriteByte(separator)
			}
			out.WriteString(part)
			wrote = true
		}
		if end == len(raw) {
			break
		}
		separator, start = raw[end], end+1
	}
	return out.String()
}

// hideParameter removes a parameter from the URLs in an answer's header. A server
// that redirects to another path or scheme repeats the query, and would reveal
// the token to the client.
func hideParameter(h http.Header, name string) {
	for _, field := range []string{"Location", "Content-Location"} {
		for i, line := range h[field] {
			rest, _, _ := strings.Cut(line, "#")
			path, query, _ := strings.Cut(rest, "?")
			remaining := withoutParameter(query, name)
			if remaining == query {
				continue
			}
			if remaining != "" {
				remaining = "?" + remaining
			}
			h[field][i] = path + remaining + line[len(rest):]
		}
	}
}

// escapeParameter encodes for queries and forms alike: every parser reads `%20`
// as a blank, but not `+`.
func escapeParameter(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// spellsParameter reports whether a part of a query, `key` or `key=value`, is one
// that a server could take for name: encoded (`%61ccess_token`), in another case, as an
// array (`access_token[]`), or with what PHP turns into an underscore
// (`access.token`, `access[token`).
func spellsParameter(part, name string) bool {
	key, _, _ := strings.Cut(part, "=")
	if strings.ContainsAny(key, "%+") {
		key = unescapeKey(key)
	}
	if i := strings.IndexByte(key, '['); i >= 0 && strings.IndexByte(key[i:], ']') >= 0 {
		key = key[:i]
	}
	key = strings.TrimSpace(key)
	return strings.EqualFold(key, name) || strings.ContainsAny(key, " .[") && strings.EqualFold(underscored.Replace(key), name)
}

// underscored replaces what PHP doesn't allow in the name of a variable.
var underscored = strings.NewReplacer(" ", "_", ".", "_", "[", "_")

// unescapeKey decodes a key of a query or form as the most lenient server does.
func unescapeKey(key string) string { return jqhttp.Unescape(strings.ReplaceAll(key, "+", " ")) }
