package lookup

import "github.com/switchboard-ivr/switchboard/module/customer"

// answers turns customers into documents. It is immutable.
type answers struct {
	fields   []string // nil is all
	empty    string
	null     bool // nobody is null
	envelope bool
}

// of is the document of a customer. Each call gives a new one.
func (a *answers) of(r *customer.Record) any {
	object := make(map[string]any, len(customer.Fields)+len(r.Custom)+1)
	if a.fields == nil {
		r.Complete(func(name, value string) { a.put(object, name, value) })
	} else {
		for _, name := range a.fields {
			a.put(object, name, r.Value(name))
		}
	}
	return a.wrap(object)
}

// nobody is the document when no customer is found.
func (a *answers) notFound() any {
	if a.null {
		return a.wrap(nil)
	}
	object := make(map[string]any, len(customer.Fields)+1)
	names := a.fields
	if names == nil {
		names = wireNames
	}
	for _, name := range names {
		a.put(object, name, "")
	}
	return a.wrap(object)
}

var wireNames = func() []string {
	names := make([]string, len(customer.Fields))
	for i, f := range customer.Fields {
		names[i] = f.Wire
	}
	return names
}()

func (a *answers) put(object map[string]any, name, value string) {
	switch {
	case value != "" || a.empty == emptyBlank:
		object[name] = value
	case a.empty == emptyNull:
		object[name] = nil
	}
}

// wrap adds the envelope.
func (a *answers) wrap(object map[string]any) any {
	switch {
	case a.envelope && object != nil:
		return map[string]any{"code": "000000", "data": object}
	case a.envelope:
		return map[string]any{"code": "000000", "data": nil}
	case object != nil:
		return object
	default:
		return nil
	}
}
