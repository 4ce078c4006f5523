// Package xmlval turns XML documents into the JSON values that programs work with.
//
// It accepts XML 1.0 without a document type declaration, and so without entities
// of a document's own. encoding/xml needs more than twice the time for its tokens
// alone, accepts several root elements and repeated attributes, and has no limits. A
// fuzz test compares the two.
package xmlval

import (
	"unicode/utf8"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// An Error says why a document isn't accepted, as a phrase: "XML with ...". It
// holds no part of the document.
type Error string

// Error implements error.
func (e Error) Error() string { return string(e) }

// Why a document isn't accepted.
const (
	ErrNotXML      Error = "not XML" // it doesn't begin with <
	ErrMalformed   Error = "XML that is not well-formed"
	ErrCutOff      Error = "XML that ends too early"
	ErrTags        Error = "XML with an end tag that doesn't match its start tag"
	ErrRoots       Error = "XML with something after its root element"
	ErrDTD         Error = "XML with a document type declaration, which is not accepted"
	ErrEntity      Error = "XML with an entity of its own, which is not accepted"
	ErrCharacter   Error = "XML with a character that XML doesn't allow"
	ErrTwice       Error = "XML with an attribute that is there twice"
	ErrDeep        Error = "XML with more than 256 nested elements"
	ErrAttributes  Error = "XML with more than 256 attributes in an element"
	ErrLongName    Error = "XML with a name of more than 1 KiB"
	ErrLongContent Error = "XML with an attribute of more than 64 KiB"
)

// Limits of any document. libxml2 has the same one for the depth. The number of
// attributes bounds the comparisons that find one that is there twice.
const (
	maxDepth      = 256
	maxAttributes = 256
	maxName       = 1 << 10
	maxAttribute  = 64 << 10
)

// textKey is the key of text beside attributes or elements. No element has such a
// name, nor one that begins like an attribute's key.
const (
	textKey      = "#text"
	attributeKey = "@"
)

// instance is the namespace of xsi:nil and xsi:type.
const instance = "http://www.w3.org/2001/XMLSchema-instance"

// Decode decodes exactly one XML document, in UTF-8, into strings, nil, []any and
// map[string]any. The document is an object with its root element as the only
// member. An element is
//
//   - a string, its text, when it has neither attributes nor elements; "" when it
//     is empty;
//   - null when it is empty and has xsi:nil="true";
//   - else an object of its attributes, as "@name", its elements by name, and its
//     text, if it has any, as "#text". Elements of one name are an array, also when
//     other elements are between them.
//
// Names are without their prefix, so that names which differ only by their
// namespace are one name. Text is without white space at its ends; CDATA is text.
// Comments, processing instructions, declarations of namespaces and the attributes of
// XML Schema instances (xsi:type and the like) are dropped. Elements that lists
// names are always arrays, and those that they are in are always objects, unless
// they are null. No text is taken for a number.
//
// A part that isn't nil is what programs look at. All of the document is checked, but
// elements beside that part are left out; an object that would be empty for it has
// one member "".
//
// The error is an [Error], or one of package jsonval: ErrEmpty for a blank document,
// ErrTooLarge for one over the limits, ErrNoRoom and ErrDeadline when the
// context of the room ends. The strings share one copy of data. Depth of l is not
// looked at.
func Decode(data []byte, l jsonval.Limits, lists *Lists, part *jsonval.Part) (any, error) {
	l = l.OrDefaults()
	if len(data) > l.Bytes {
		return nil, jsonval.ErrTooLarge
	}
	if !utf8.Valid(data) {
		return nil, ErrCharacter
	}
	d := decoder{Limits: l, lists: lists, part: part, pause: min(lookEvery, l.Nodes)}
	if d.take(int64(len(data))); d.err != nil {
		return nil, d.err
	}
	d.s = string(data)
	v := d.document()
	if d.err != nil {
		return nil, d.err
	}
	return v, nil
}

// A decoder reads one document from s. After an error it stands at the end.
type decoder struct {
	jsonval.Limits
	lists *Lists
	part  *jsonval.Part
	s     string
	i     int
	depth int
	nodes int
	skips bool // what is read is left out
	pause int  // how many nodes there may be before it looks at the clock
	err   error

	members []member  // of the elements that are being read, so that each object is made once
	texts   []string  // pieces of their texts
	xsi     []binding // prefixes in scope that are bound to instance, or were
	owed    int64     // bytes that are taken and not yet reserved
}

type member struct {
	key   string
	value any
}

// binding is whether a prefix is bound to instance.
type binding struct {
	prefix string
	xsi    bool
}

// lookEvery is after how many nodes a decoder looks at the clock, as in jsonval.
const lookEvery = 4096

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.i = len(d.s)
}

// count counts an element or an attribute.
func (d *decoder) count() {
	if d.nodes++; d.nodes <= d.pause {
		return
	}
	switch {
	case d.nodes > d.Nodes:
		d.fail(jsonval.ErrTooLarge)
	case d.Room != nil && d.Room.Context.Err() != nil:
		d.fail(jsonval.ErrDeadline)
	default:
		d.pause = min(d.nodes+lookEvery, d.Nodes)
	}
}

// reserveStep is how much memory is reserved at once.
const reserveStep = 64 << 10

// take reserves n bytes before they are allocated, small ones together.
func (d *decoder) take(n int64) {
	if d.owed += n; d.owed < reserveStep || d.Room == nil || d.err != nil {
		return
	}
	if err := d.Room.Reserve(d.Purpose, d.owed); err != nil {
		d.fail(err)
	}
	d.owed = 0
}

// What is allocated, in bytes, on a 64-bit machine.
const (
	sizeBoxed  = 16      // a string in an interface
	sizeArray  = 24 + 16 // an array of one element
	sizeMember = 32      // a member on the stack
	sizePiece  = 6 * 16  // a piece of text on the stack, with what growing leaves behind
)

func (d *decoder) push(key string, value any) {
	if n := len(d.members); n == cap(d.members) {
		grown := max(16, 2*n)
		if d.take(int64(grown) * sizeMember); d.err != nil {
			return
		}
		d.members = append(make([]member, 0, grown), d.members...)
	}
	d.members = append(d.members, member{key, value})
}

// boxed is a string as a value.
func (d *decoder) boxed(s string) any {
	if s == "" {
		return blank
	}
	d.take(sizeBoxed)
	return s
}

var blank any = ""
