package xmlval

import (
	"strings"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

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
