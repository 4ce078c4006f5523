// Package document reads HTTP bodies: in which charset their text is written, what
// they are, and the values in them.
package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/xmlval"
)

var (
	// ErrNotUTF8 is returned for a body that names no charset, or UTF-8, and
	// isn't valid UTF-8.
	ErrNotUTF8 = errors.New("not UTF-8, and Content-Type names no other charset")
	// ErrTooLarge is returned for a body whose text is over the limit.
	ErrTooLarge = errors.New("larger than the limit once decoded to UTF-8")
)

const (
	byteOrderMark = "\xEF\xBB\xBF"
	bigEndian     = "\xFE\xFF"
	littleEndian  = "\xFF\xFE"

	// inHeader is what usually names the charset.
	inHeader = "Content-Type or a byte order mark"
)

// UTF8 returns the text of body as UTF-8, without a byte order mark.
//
// A byte order mark decides on the charset, else the charset parameter of
// contentType, else the encoding in an XML declaration (RFC 7303); a body without any
// is UTF-8. Names are those of the WHATWG
// Encoding Standard and of IANA. A body that is UTF-8 already is returned as it
// is, without a copy; one that has to be decoded may take up to limit bytes, and
// never takes more than three times its own size.
//
// Reserve, if not nil, is called with the bytes that decoding will take before it takes
// them; its error is returned.
//
// An error is ErrNotUTF8, ErrTooLarge, or names the charset that is unknown or
// that the body isn't written in. It never holds a part of the body.
func UTF8(contentType string, body []byte, limit int, reserve func(bytes int) error) ([]byte, error) {
	if len(body) >= 2 {
		switch {
		case bytes.HasPrefix(body, []byte(byteOrderMark)):
			return plain(body[len(byteOrderMark):], limit)
		case string(body[:2]) == bigEndian:
			return decode(unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), "UTF-16", inHeader, body[2:], limit, reserve)
		case string(body[:2]) == littleEndian:
			return decode(unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "UTF-16", inHeader, body[2:], limit, reserve)
		}
	}
	name, says := charset(contentType), inHeader
	if name == "" {
		if name = declared(body); name != "" {
			says = "its XML declaration"
		}
	}
	if isUTF8(name) {
		return plain(body, limit)
	}
	enc := find(name)
	if strings.EqualFold(name, "utf-16") {
		// Without a mark the standards disagree on the order of the bytes. JSON,
		// XML and forms begin with ASCII, so the zero byte shows it.
		order := unicode.LittleEndian
		if len(body) > 0 && body[0] == 0 {
			order = unicode.BigEndian
		}
		enc = unicode.UTF16(order, unicode.IgnoreBOM)
	}
	if enc == nil {
		if says == inHeader {
			says = "Content-Type"
		}
		return nil, fmt.Errorf("charset %q in %s is unknown", printable(name), says)
	}
	return decode(enc, printable(name), says, body, limit, reserve)
}

// plain checks a body that should be UTF-8.
func plain(body []byte, limit int) ([]byte, error) {
	switch {
	case !utf8.Valid(body):
		return nil, ErrNotUTF8
	case len(body) > limit:
		return nil, ErrTooLarge
	default:
		return body, nil
	}
}

// decode decodes a body from a charset that isn't UTF-8. Decoders write U+FFFD
// for what they can't read: a name with a hole is a wrong answer, so that is an
// error.
func decode(enc encoding.Encoding, name, says string, body []byte, limit int, reserve func(int) error) ([]byte, error) {
	var text bytes.Buffer
	size := min(3*len(body), limit) + 1 + bytes.MinRead // ReadFrom asks for so much more
	if reserve != nil {
		if err := reserve(size); err != nil {
			return nil, err
		}
	}
	text.Grow(size)
	from := io.LimitReader(transform.NewReader(bytes.NewReader(body), enc.NewDecoder()), int64(limit)+1)
	_, err := text.ReadFrom(from)
	switch {
	case text.Len() > limit:
		return nil, ErrTooLarge
	case err != nil, bytes.ContainsRune(text.Bytes(), utf8.RuneError):
		return nil, fmt.Errorf("not %s, which %s says it is", name, says)
	default:
		return text.Bytes(), nil
	}
}

// charset returns the charset parameter of a Content-Type, or "".
func charset(contentType string) string {
	_, parameters, _ := strings.Cut(contentType, ";")
	for parameters != "" {
		var parameter string
		parameter, parameters, _ = strings.Cut(parameters, ";")
		name, value, _ := strings.Cut(parameter, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "charset") {
			continue
		}
		value = strings.Trim(value, " \t\"'")
		if end := strings.IndexAny(value, " \t\"',"); end >= 0 {
			value = value[:end]
		}
		return value
	}
	return ""
}

var encodingOf = regexp.MustCompile(`^<\?xml[ \t\r\n][^>?]*?[ \t\r\n]encoding[ \t\r\n]*=[ \t\r\n]*["']([\w.:-]{1,40})["']`)

// declared returns the encoding that an XML declaration names, or "". One that can be
// read isn't in UTF-16, whatever it says: programs write it into UTF-8, too.
func declared(body []byte) string {
	if !bytes.HasPrefix(body, []byte("<?xml")) {
		return ""
	}
	found := encodingOf.FindSubmatch(body[:min(len(body), 256)])
	if found == nil || bytes.HasPrefix(bytes.ToLower(found[1]), []byte("utf-16")) {
		return ""
	}
	return string(found[1])
}

// isUTF8 reports whether a charset's name stands for UTF-8. ASCII is a part of
// it, and utf8mb4 is what MySQL calls it.
func isUTF8(name string) bool {
	return slices.ContainsFunc([]string{"", "utf-8", "utf8", "us-ascii", "ascii", "utf8mb4"}, func(of string) bool {
		return strings.EqualFold(name, of)
	})
}

// find returns the charset of a name, or nil.
func find(name string) encoding.Encoding {
	if enc, err := htmlindex.Get(name); err == nil && enc != encoding.Replacement {
		return enc
	}
	if enc, err := ianaindex.IANA.Encoding(name); err == nil {
		return enc
	}
	return nil
}

// printable makes a name from outside fit for an error message.
func printable(name string) string {
	const limit = 32
	if len(name) > limit {
		name = name[:limit] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '?'
		}
		return r
	}, name)
}

// What [Reader.As] may be.
const (
	JSON = "json"
	XML  = "xml"
	Form = "form"
	Text = "text"
)

// ErrForm is returned for a form with broken percent-encoding, or one whose values
// aren't UTF-8.
var ErrForm = errors.New("a form that is broken")

// A Reader reads bodies into the values that programs work with. The zero Reader
// reads them by Content-Type.
type Reader struct {
	// As is JSON, XML, Form or Text. "" means: as Content-Type says, JSON when in doubt.
	// A body that is JSON is read as such, whatever its type.
	As string
	// Lists are the elements of XML that are always arrays.
	Lists *xmlval.Lists
	// Part is what programs use of JSON or XML. Nil means everything.
	Part *jsonval.Part
}

// Read reads a text, which UTF8 has returned:
//
//   - JSON, as [jsonval.DecodePart] does;
//   - XML, as [xmlval.Decode] does;
//   - a form as an object of strings, and of arrays of them where a name repeats;
//   - text as a string, without white space at its ends.
//
// An error is [jsonval.ErrSyntax] for what is something else, such as an HTML page,
// which Name names; an [xmlval.Error] or ErrForm for what is broken, which describes
// itself; or another one of package jsonval.
func (r *Reader) Read(contentType string, text []byte, l jsonval.Limits) (any, error) {
	as := r.As
	if as == "" {
		if as = byContentType(contentType); as == XML && begin(text) != '<' {
			as = JSON
		}
	}
	switch as {
	case XML:
		return r.xml(text, l)
	case Form:
		if r.As == "" {
			if v, err := jsonval.DecodePart(text, l, r.Part); !errors.Is(err, jsonval.ErrSyntax) {
				return v, err
			}
		}
		return form(text, l)
	case Text:
		return plainText(text, l)
	default:
		return jsonval.DecodePart(text, l, r.Part)
	}
}

// Announced reports whether a Content-Type announces XML or a form, which are then
// read as such.
func Announced(contentType string) bool { return byContentType(contentType) != JSON }

// byContentType returns how bodies of a type are read.
func byContentType(contentType string) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	kind, subtype, _ := strings.Cut(strings.TrimSpace(mediaType), "/")
	application := strings.EqualFold(kind, "application")
	switch n := len(subtype) - len("+xml"); {
	case !application && !strings.EqualFold(kind, "text"):
		return JSON
	case strings.EqualFold(subtype, "xml"), application && n > 0 && strings.EqualFold(subtype[n:], "+xml"):
		return XML
	case application && strings.EqualFold(subtype, "x-www-form-urlencoded"):
		return Form
	default:
		return JSON
	}
}

// begin is the first byte of a text behind white space; 0 for none.
func begin(text []byte) byte {
	for _, c := range text {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c
		}
	}
	return 0
}

func (r *Reader) xml(text []byte, l jsonval.Limits) (any, error) {
	v, err := xmlval.Decode(text, l, r.Lists, r.Part)
	if err == nil && !isPage(text, r.As == XML) {
		return v, nil
	}
	_, broken := errors.AsType[xmlval.Error](err)
	if err == nil || errors.Is(err, xmlval.ErrNotXML) || broken && isBrokenPage(text) {
		return nil, jsonval.ErrSyntax
	}
	return nil, err
}

// plainText reads a text. A page of HTML is some proxy's.
func plainText(text []byte, l jsonval.Limits) (any, error) {
	if isHTML(text) {
		return nil, jsonval.ErrSyntax
	}
	if err := l.Room.Reserve(l.Purpose, int64(len(text))); err != nil {
		return nil, err
	}
	s := strings.TrimSpace(string(text))
	if s == "" {
		return nil, jsonval.ErrEmpty
	}
	return s, nil
}

// form reads a form. Unlike one that a phone system sends, it is read as the
// standard says.
func form(text []byte, l jsonval.Limits) (any, error) {
	switch begin(text) {
	case 0:
		return nil, jsonval.ErrEmpty
	case '<', '{', '[':
		return nil, jsonval.ErrSyntax
	}
	if !isForm(text) {
		return nil, jsonval.ErrSyntax
	}
	text = bytes.TrimSpace(text)
	pairs := bytes.Count(text, []byte("&")) + 1
	if pairs > l.OrDefaults().Nodes {
		return nil, jsonval.ErrTooLarge
	}
	const sizePair = 64 // an array of several values, or a boxed one
	if err := l.Room.Reserve(l.Purpose, 2*int64(len(text))+jsonval.SizeOfObject(pairs)+sizePair*int64(pairs)); err != nil {
		return nil, err
	}
	values := make(map[string]any)
	for pair := range strings.SplitSeq(string(text), "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || !utf8.ValidString(name) {
			return nil, ErrForm
		}
		if value, err = url.QueryUnescape(value); err != nil || !utf8.ValidString(value) {
			return nil, ErrForm
		}
		switch before := values[name].(type) {
		case nil:
			if pair != "" {
				values[name] = value
			}
		case []any:
			values[name] = append(before, value)
		default:
			values[name] = []any{before, value}
		}
	}
	return values, nil
}
