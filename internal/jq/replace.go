package jq

// sub and gsub, on top of regex.go.

// A cut is a text with the matches that sub will replace.
type cut struct {
	s       string
	matches [][]int
}

// sub gives the captures that the replacement is made of, and the cut.
func sub(r *run, v any, args []any) any {
	p := r.pattern(args)
	s, matches, err := r.find(v, p, p.global)
	if err != nil {
		return err
	}
	return []any{r.objects(p, s, matches), &cut{s, matches}}
}

// splice gives the texts with the replacements args[1], an array for each match.
// A replacement that yields several values makes several texts, as in gojq.
func splice(r *run, _ any, args []any) any {
	c, ok := args[0].(*cut)
	values, ok2 := args[1].([]any)
	if !ok || !ok2 || len(values) != len(c.matches) {
		return fault("sub lost its matches")
	}
	var texts [][]byte
	at, size := 0, 0
	for i, m := range c.matches {
		list, _ := values[i].([]any)
		for j, v := range list {
			s, ok := v.(string)
			if !ok && v != nil {
				return fault("sub needs a string to put in")
			}
			if j == len(texts) {
				texts = append(texts, nil)
			}
			if size += m[0] - at + len(s); size > maxText {
				panic(abort{ErrTooLarge})
			}
			texts[j] = append(append(texts[j], c.s[at:m[0]]...), s...)
		}
		at = m[1]
		r.step(1)
	}
	if len(texts) == 0 {
		return []any{c.s}
	}
	out := make([]any, len(texts))
	for i := range texts {
		if size += len(c.s) - at; size > maxText {
			panic(abort{ErrTooLarge})
		}
		out[i] = string(append(texts[i], c.s[at:]...))
	}
	r.spend(size)
	return out
}
