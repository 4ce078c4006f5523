package jsonval

import (
	"maps"
	"slices"
)

// A Part is the part of a document that programs look at: the members of an object,
// each with the part of it that is needed. A nil Part is everything.
type Part struct {
	Name    string // its key in the object that it is a part of
	Whole   bool   // all of it is needed, down to the last value
	Members map[string]*Part
}

// Names returns the names of the members that are needed, sorted; none when
// everything is.
func (p *Part) Names() []string {
	if p == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(p.Members))
}

// Add makes p cover q, too.
func (p *Part) Add(q *Part) {
	p.Whole = p.Whole || q.Whole
	for name, part := range q.Members {
		p.Member(name).Add(part)
	}
}

// Member returns the part that is a member of p, and adds it if it is not there.
func (p *Part) Member(name string) *Part {
	if p.Members == nil {
		p.Members = make(map[string]*Part)
	}
	part, ok := p.Members[name]
	if !ok {
		part = &Part{Name: name}
		p.Members[name] = part
	}
	return part
}
