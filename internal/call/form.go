package call

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
)

func parseForm(raw []byte, l Limits) (pairs, error) {
	s := string(bytes.TrimSpace(raw))
	if s[0] == '{' || s[0] == '[' {
		// Asterisk's CURL() calls everything a form; as
		// one, a document would be a single blank parameter.
		return pairs{}, refuse(http.StatusBadRequest, "form: looks like JSON; send it as Content-Type: application/json")
	}
	return parsePairs("form", s, l)
}

// parseMultipart reads the text fields of a multipart form, RFC 7578.
func parseMultipart(raw []byte, boundary string, l Limits) (pairs, error) {
	p := pairs{from: "form", values: map[string]any{}}
	parts := multipart.NewReader(bytes.NewReader(raw), boundary)
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) && bytes.Contains(raw, []byte("--"+boundary+"--")) {
			return p, nil
		}
		if err != nil { // io.EOF is also a body that was cut off
			return p, refuse(http.StatusBadRequest, "form: malformed multipart body")
		}
		if n == l.Params {
			return p, refuse(http.StatusBadRequest, "form: more than %d parameters", l.Params)
		}
		if err := checkPart(part); err != nil {
			return p, err
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return p, refuse(http.StatusBadRequest, "form: malformed multipart body")
		}
		if err := p.add(part.FormName(), string(value)); err != nil {
			return p, err
		}
	}
}

func checkPart(part *multipart.Part) error {
	if part.FileName() != "" {
		return refuse(http.StatusUnsupportedMediaType, "form: files are not accepted")
	}
	switch strings.ToLower(part.Header.Get("Content-Transfer-Encoding")) {
	case "", "7bit", "8bit", "binary":
	default: // deprecated by RFC 7578, section 4.7
		return refuse(http.StatusUnsupportedMediaType, "form: encoded parts are not accepted")
	}
	if t := part.Header.Get("Content-Type"); t != "" {
		media, params, err := mime.ParseMediaType(t)
		if err != nil || media != "text/plain" || !isUTF8(params["charset"]) {
			return refuse(http.StatusUnsupportedMediaType, "form: parts must be text in utf-8")
		}
	}
	return nil
}
