package mask

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
)

// Bounds of a masked document: it is for people to look at.
const (
	maxNodes  = 5000
	maxText   = 4096
	maxLooked = 16 << 10 // of a text, because what is masked in it makes it shorter
)

// cut stands for what is left out of a document.
const cut = "…"

// Document masks a decoded JSON document: each value by its name, and whatever
// holds one of the secrets, wherever it is and however it is escaped. It gives a document of its own, in
// which long texts and what is beyond 5000 values are cut.
func Document(v any, secrets []string) any {
	d := document{hider: newHider(secrets), left: maxNodes}
	return d.value("", v)
}

// Hide masks a text of a name, and the secrets in it; see [Document].
func Hide(name, s string, secrets []string) string {
	d := document{hider: newHider(secrets)}
	return d.text(name, s)
}

// Body masks a body that isn't read as a document, as [Hide] does. It may be cut off
// within a secret.
func Body(s string, secrets []string) string {
	d := document{hider: newHider(secrets), cutOff: true}
	return d.text("", s)
}

type document struct {
	hider
	left   int
	cutOff bool
}

func (d *document) value(name string, v any) any {
	if d.left--; d.left < 0 {
		return cut
	}
	switch v := v.(type) {
	case string:
		return d.text(name, v)
	case []any:
		out := make([]any, 0, min(len(v), d.left+1))
		for _, item := range v {
			if d.left <= 0 {
				return append(out, cut)
			}
			out = append(out, d.value(name, item))
		}
		return out
	case map[string]any:
		out := make(map[string]any, min(len(v), d.left+1))
		for key, member := range v {
			if d.left <= 0 {
				out[cut] = cut
				return out
			}
			out[d.text("", key)] = d.value(key, member)
		}
		return out
	case json.Number, int, float64, *big.Int:
		digits := fmt.Sprint(v)
		if masked := d.text(name, digits); masked != digits {
			return masked
		}
	}
	return v
}

func (d *document) text(name, s string) string {
	long := len(s) > maxLooked
	if long {
		s = s[:maxLooked]
	}
	s = d.hide(s, d.cutOff || long)
	s = Value(name, s) // before it is cut: half a number or address looks like none
	if long {
		const half = 64 // a number or address at the end may have been cut
		s = s[:max(0, len(s)-half)]
	}
	if long || len(s) > maxText {
		s = strings.ToValidUTF8(s[:min(len(s), maxText)], "") + cut
	}
	return s
}
