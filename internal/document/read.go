package document

import (
	"bytes"
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/xmlval"
)

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
	if err == nil {
		for name := range v.(map[string]any) {
			if strings.EqualFold(name, "html") {
				return nil, jsonval.ErrSyntax
			}
		}
		return v, nil
	}
	_, broken := errors.AsType[xmlval.Error](err)
	if errors.Is(err, xmlval.ErrNotXML) || broken && isPage(text) {
		return nil, jsonval.ErrSyntax
	}
	return nil, err
}

// plainText reads a text. A page of HTML is some proxy's.
func plainText(text []byte, l jsonval.Limits) (any, error) {
	if begin(text) == '<' && isPage(text) {
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
