package mask

import "strings"

// splice rewrites parts of a string, in order, and costs nothing when no part
// changes.
type splice struct {
	b    strings.Builder
	done int // how far the original is written
}

// put replaces s[i:j].
func (p *splice) put(s string, i, j int, with string) {
	if s[i:j] == with {
		return
	}
	if p.b.Cap() == 0 {
		p.b.Grow(len(s))
	}
	p.b.WriteString(s[p.done:i])
	p.b.WriteString(with)
	p.done = j
}

// result returns the rewritten s.
func (p *splice) result(s string) string {
	if p.done == 0 {
		return s
	}
	p.b.WriteString(s[p.done:])
	return p.b.String()
}
