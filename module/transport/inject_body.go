package transport

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// requestDocument is a request body that the token is added to.
type requestDocument struct {
	text []byte
	form bool
}

// errMalformed has no details, because encoding/json's errors quote the text.
var errMalformed = unfit(http.StatusBadRequest, "it is not a JSON object")

// unfit returns the error for a body that the token can't be added to.
func unfit(status int, why string) *RequestError {
	return &RequestError{status, "writing the token into the body: " + why}
}

// readDocument reads the whole body of a request, up to limit bytes. It closes
// the body.
func readDocument(r *http.Request, limit int64) (*requestDocument, error) {
	doc := new(requestDocument)
	empty := r.Body == nil || r.Body == http.NoBody
	if !empty {
		defer r.Body.Close()
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	switch {
	case empty && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		return nil, unfit(http.StatusBadRequest, "a "+r.Method+" has none")
	case !slices.Contains([]string{"", "identity"}, coding(r.Header.Get("Content-Encoding"))):
		return nil, unfit(http.StatusUnsupportedMediaType, "it is compressed")
	case kind == "application/x-www-form-urlencoded":
		doc.form = true
	case isJSON(kind) || kind == "" && empty:
	default:
		return nil, unfit(http.StatusUnsupportedMediaType, "it must be JSON or a form")
	}
	if empty {
		return doc, nil
	}
	doc.text, err = io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		if ctxErr := r.Context().Err(); ctxErr != nil {
			return nil, ctxErr
		}
		return nil, unfit(http.StatusBadRequest, "it ended early")
	}
	if int64(len(doc.text)) > limit {
		return nil, unfit(http.StatusRequestEntityTooLarge, "it is too large")
	}
	return doc, nil
}

// with returns the body with the member name, without the client's copies of it.
// The rest keeps its spelling, numbers included.
func (d *requestDocument) with(name, value string) ([]byte, error) {
	if d.form {
		return []byte(withParameter(string(d.text), name, value)), nil
	}
	return withMember(d.text, name, value)
}

// contentType is the type for a body without one.
const contentType = "application/json"

// withMember returns a JSON object with the member name at its end. An empty text
// counts as an empty object.
func withMember(text []byte, name, value string) ([]byte, error) {
	members, err := membersBut(text, name)
	if err != nil {
		return nil, err
	}
	own, err := json.Marshal(map[string]string{name: value})
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(text)+len(own)+2)
	out = append(out, '{')
	for _, member := range members {
		out = append(append(out, member...), ',')
	}
	return append(out, own[1:]...), nil
}

// membersBut returns the texts of an object's members, without those that a
// lenient parser could take for name: copies, in any case.
func membersBut(text []byte, name string) ([][]byte, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if start, _ := dec.Token(); start != json.Delim('{') || !json.Valid(text) {
		return nil, errMalformed
	}
	var members [][]byte
	for dec.More() {
		from := dec.InputOffset()
		key, _ := dec.Token() // the text is valid, so nothing fails from here on
		var value json.RawMessage
		_ = dec.Decode(&value)
		if strings.EqualFold(key.(string), name) {
			continue
		}
		// only blanks and a comma precede the key
		from += int64(bytes.IndexByte(text[from:], '"'))
		members = append(members, text[from:dec.InputOffset()])
	}
	return members, nil
}

// isJSON reports whether a media type is a JSON one.
func isJSON(kind string) bool {
	return kind == "application/json" || kind == "text/json" || strings.HasSuffix(kind, "+json")
}
