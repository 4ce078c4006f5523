// Package xmlval turns XML documents into the JSON values that programs work with.
//
// It accepts XML 1.0 without a document type declaration, and so without entities
// of a document's own. encoding/xml needs more than twice the time for its tokens
// alone, accepts several root elements and repeated attributes, and has no limits. A
// fuzz test compares the two.
package xmlval

import (
	"strings"
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
	sizePiece  = 3 * 16  // a piece of text on the stack, with what growing leaves behind
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

func (d *decoder) document() any {
	space := d.space()
	if d.i == len(d.s) {
		d.fail(jsonval.ErrEmpty)
		return nil
	}
	if d.s[d.i] != '<' {
		d.fail(ErrNotXML)
		return nil
	}
	if d.declared() {
		if space {
			d.fail(ErrMalformed) // it must be the first thing
			return nil
		}
		d.instruction()
	}
	d.misc()
	switch {
	case d.i == len(d.s):
		d.fail(ErrCutOff)
	case d.s[d.i] != '<':
		d.fail(ErrMalformed)
	}
	if d.err != nil {
		return nil
	}
	key, value, _ := d.element(d.lists, d.part)
	if d.misc(); d.err == nil && d.i < len(d.s) {
		d.fail(ErrRoots)
	}
	d.take(jsonval.SizeOfObject(1))
	if d.err != nil {
		return nil
	}
	return map[string]any{key: value}
}

// misc skips what may stand beside the root element.
func (d *decoder) misc() {
	for d.space(); strings.HasPrefix(d.s[d.i:], "<?") || strings.HasPrefix(d.s[d.i:], "<!"); d.space() {
		d.markup()
	}
}

// element reads an element; its < is at hand. Lists and part are those of the
// element that it is in. It isn't kept if it is left out.
func (d *decoder) element(lists *Lists, part *jsonval.Part) (key string, value any, kept bool) {
	if d.depth++; d.depth > maxDepth {
		d.fail(ErrDeep)
	}
	if d.count(); d.err != nil {
		return "", nil, false
	}
	d.i++
	name := d.name()
	key = local(name)
	skipped := d.skips
	if part != nil && !part.Whole && !d.skips {
		part, kept = part.Members[key]
		d.skips = !kept
	}
	at := lists.member(key)
	base, texts, bindings := len(d.members), len(d.texts), len(d.xsi)
	open, null := d.attributes()
	attributes, more := len(d.members), false
	if open {
		more = d.content(at, part, name, texts)
	}
	if d.err != nil {
		return "", nil, false
	}
	if kept = !d.skips; kept {
		text := d.text(texts)
		if !null || text != "" || more || len(d.members) > attributes {
			value = d.value(base, text, at, more)
		}
		clear(d.members[base:])
	}
	d.members, d.xsi, d.skips = d.members[:base], d.xsi[:bindings], skipped
	d.depth--
	return key, value, kept
}

// content reads what is between the tags of an element, and its end tag. More is
// whether there are elements that were left out.
func (d *decoder) content(at *Lists, part *jsonval.Part, name string, texts int) (more bool) {
	for {
		if len(d.texts) == texts {
			d.space()
		}
		switch {
		case d.i == len(d.s):
			d.fail(ErrCutOff)
		case d.s[d.i] != '<':
			d.piece(d.characters())
			continue
		case d.i+1 == len(d.s):
			d.fail(ErrCutOff)
		case d.s[d.i+1] == '/':
			d.endTag(name)
		case d.s[d.i+1] == '!', d.s[d.i+1] == '?':
			if strings.HasPrefix(d.s[d.i:], cdata) {
				d.piece(d.section())
			} else {
				d.markup()
			}
			continue
		default:
			k, v, kept := d.element(at, part)
			if more = more || !kept; kept {
				d.push(k, v)
			}
			if d.err == nil {
				continue
			}
		}
		return more
	}
}

// endTag reads the end tag of the element of a name.
func (d *decoder) endTag(name string) {
	d.i += 2
	rest := d.s[d.i:]
	begins := strings.HasPrefix(rest, name)
	if begins {
		d.i += len(name)
		d.space()
	}
	switch {
	case d.i == len(d.s), strings.HasPrefix(name, rest) && rest != name:
		d.fail(ErrCutOff)
	case !begins || d.s[d.i] != '>':
		d.fail(ErrTags)
	default:
		d.i++
	}
}

// piece adds a piece to the text of the element that is being read.
func (d *decoder) piece(s string) {
	if s != "" && !d.skips {
		d.take(sizePiece)
		d.texts = append(d.texts, s)
	}
}

// text takes the text of the element, which begins at texts, off the stack.
func (d *decoder) text(texts int) (s string) {
	switch pieces := d.texts[texts:]; len(pieces) {
	case 0:
		return ""
	case 1:
		s = pieces[0]
	default:
		for _, piece := range pieces {
			d.take(int64(len(piece)))
		}
		s = strings.Join(pieces, "")
	}
	d.texts = d.texts[:texts]
	return strings.Trim(s, " \t\r\n")
}

// value makes the value of an element whose members begin at base. More is whether it
// has others, too.
func (d *decoder) value(base int, text string, at *Lists, more bool) any {
	members := d.members[base:]
	lists := at.inside()
	if len(members) == 0 && len(lists) == 0 && !more {
		return d.boxed(text)
	}
	size := len(lists)
	for i := range members {
		if i == 0 || members[i].key != members[i-1].key {
			size++
		}
	}
	if text != "" {
		size++
	}
	if d.take(jsonval.SizeOfObject(size)); d.err != nil {
		return nil
	}
	object := make(map[string]any, size)
	for len(members) > 0 {
		n := 1
		for n < len(members) && members[n].key == members[0].key {
			n++
		}
		d.add(object, members[:n])
		members = members[n:]
	}
	if text != "" {
		object[textKey] = d.boxed(text)
	}
	if len(object) == 0 && more {
		object[""] = nil
	}
	for name, list := range lists {
		if !list.always {
			continue
		}
		one, ok := object[name]
		if _, already := one.([]any); already {
			continue
		}
		d.take(sizeArray)
		if object[name] = []any{}; ok {
			object[name] = []any{one}
		}
	}
	return object
}

// add adds members of one name, which stand side by side, to an object.
func (d *decoder) add(object map[string]any, of []member) {
	key := of[0].key
	before, ok := object[key]
	if !ok && len(of) == 1 {
		object[key] = of[0].value
		return
	}
	array, already := before.([]any)
	switch {
	case already:
		d.take(int64(sizeArray + 32*len(of))) // it grows
	case ok:
		d.take(int64(sizeArray + 16*len(of)))
		array = append(make([]any, 0, 1+len(of)), before)
	default:
		d.take(int64(sizeArray + 16*len(of)))
		array = make([]any, 0, len(of))
	}
	if d.err != nil {
		return
	}
	for i := range of {
		array = append(array, of[i].value)
	}
	object[key] = array
}
