package answer

import (
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// maxValues is the most values of a JSON answer that is shaped, as many as
// jsonval.Encode would write.
const maxValues = 1_000_000

// shape returns doc as a JSON answer has it: filtered, without null, an object.
// A style that asks for none of it gets doc itself.
func (s *Style) shape(doc any) (any, error) {
	if _, ok := doc.(map[string]any); s.Object && !ok {
		doc = map[string]any{"value": doc}
	}
	if s.filter == nil && s.FieldLimit == 0 && !s.NoNull {
		return doc, nil
	}
	// A value takes a byte at least. Results of programs share parts: counted,
	// a small one can't become a long copy (reliability J4).
	h := shaper{style: s, left: s.limit(maxValues)}
	return h.value(doc, 0)
}

type shaper struct {
	style *Style
	left  int
}

func (h *shaper) value(v any, depth int) (any, error) {
	if h.left--; h.left < 0 || depth > maxDepth {
		return nil, jsonval.ErrTooLarge
	}
	switch v := v.(type) {
	case string:
		return h.style.text(v)
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			var err error
			if out[i], err = h.value(value, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			key := h.style.filter.apply(key)
			if _, ok := out[key]; ok {
				return nil, ErrCollision
			}
			var err error
			if out[key], err = h.value(value, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	if h.style.NoNull && isNull(v) {
		return "", nil
	}
	return v, nil
}
