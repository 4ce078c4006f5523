package document

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
)

// looked is how much of a body is looked at to name it.
const looked = 4 << 10

var (
	formBody  = regexp.MustCompile(`^[\w.~%+*\[\]-]+=[^\s<>{}"]*$`)
	jsonpBody = regexp.MustCompile(`^[\w$.]+\(\s*[\[{"]`)
	eventBody = regexp.MustCompile(`^(data|event|id|retry):|^: ?\w`)
	elements  = regexp.MustCompile(`^<[A-Za-z_!?/]`)
)

// Name returns what a body that isn't JSON is, in words for an operator: "HTML",
// "XML", "a form", "JSON Lines", "text", "an image" and the like. The body
// itself decides before its Content-Type does: a proxy's error page often has
// the type that the client asked for.
func Name(contentType string, body []byte) string {
	head := body[:min(len(body), looked)]
	if text, err := UTF8(contentType, head, 3*looked, nil); err == nil {
		head = text
	}
	head = bytes.TrimLeft(head, " \t\r\n")
	if len(head) == 0 {
		return "an empty body"
	}
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	sniffed, _, _ := strings.Cut(http.DetectContentType(head), ";")
	if sniffed != "text/plain" && sniffed != "application/octet-stream" {
		return markup(sniffed, head)
	}
	if name := text(head); name != "" {
		return name
	}
	if name := byType(mediaType); name != "" && (name != "a form" || isForm(head)) {
		return name
	}
	if sniffed == "text/plain" {
		return "text"
	}
	return "binary data"
}

// markup names what net/http has recognized by its first bytes.
func markup(sniffed string, head []byte) string {
	if sniffed == "text/xml" {
		if isHTML(head) {
			return "HTML"
		}
		return "XML"
	}
	return byType(sniffed)
}

// text names what looks like a text of a known kind; "" for any other.
func text(head []byte) string {
	switch {
	case head[0] == '{' || head[0] == '[':
		return documents(head)
	case elements.Match(head):
		if isHTML(head) {
			return "HTML"
		}
		return "XML"
	case eventBody.Match(head):
		return "a stream of events"
	case jsonpBody.Match(head):
		return "JSONP"
	case isHTML(head):
		return "HTML"
	case formBody.Match(bytes.TrimSpace(head)):
		return "a form"
	default:
		return ""
	}
}

// documents names a text that begins as JSON does.
func documents(head []byte) string {
	d := json.NewDecoder(bytes.NewReader(head))
	var first json.RawMessage
	if d.Decode(&first) != nil {
		return "broken JSON"
	}
	rest := bytes.TrimSpace(head[d.InputOffset():])
	switch {
	case len(rest) == 0:
		return "JSON"
	case rest[0] == '{' || rest[0] == '[':
		return "JSON Lines"
	default:
		return "JSON with something after it"
	}
}

// byType names a media type; "" for one that says nothing.
func byType(mediaType string) string {
	kind, subtype, _ := strings.Cut(mediaType, "/")
	name, ok := kinds[kind]
	if !ok {
		name, ok = subtypes[subtype]
	}
	if !ok && strings.HasSuffix(subtype, "+xml") {
		return "XML"
	}
	return name
}

var kinds = map[string]string{
	"image": "an image", "audio": "audio", "video": "video", "font": "a font", "multipart": "a multipart body",
}

var subtypes = named(map[string]string{
	"HTML":               "html xhtml+xml",
	"XML":                "xml",
	"a form":             "x-www-form-urlencoded",
	"JSON Lines":         "x-ndjson ndjson jsonl x-jsonl jsonlines x-jsonlines json-seq stream+json",
	"a stream of events": "event-stream",
	"JavaScript":         "javascript x-javascript",
	"CSV":                "csv",
	"a PDF":              "pdf",
	"binary data":        "zip x-gzip gzip x-rar-compressed wasm vnd.ms-fontobject",
})

// named turns names with their subtypes around.
func named(types map[string]string) map[string]string {
	names := map[string]string{}
	for name, list := range types {
		for subtype := range strings.FieldsSeq(list) {
			names[subtype] = name
		}
	}
	return names
}
