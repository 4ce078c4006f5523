package jsonval

import (
	"math/bits"
	"strings"
)

// What values take once they are decoded, in bytes, on a 64-bit machine.
const (
	sizeBoxed  = 16      // a string or a number in an interface
	sizeMember = 16      // an element of an array
	sizeArray  = 24      // an array without its elements
	sizeMap    = 24      // what an object without members takes beyond that
	sizeGroup  = 288     // the first 8 members of an object, however few there are
	sizeSlot   = 38      // each place of a larger object
	maxTable   = 1024    // places in one table of an object; several tables may be split once more
	sizePlace  = 3 * 16  // a value or key on the decoder's stack, with what growing leaves behind
	unescaping = 4       // copies of a string with escapes
	openLevels = 1 << 7  // levels that are told apart; deeper ones count as one
	enough     = 1 << 30 // more than anybody may take
)

// level is an array or object that isn't at its end yet.
type level struct {
	commas int
	filled bool
	places int64 // of one member on the stack
}

// decodedSize estimates the memory that decoding s takes, without a copy of s. It
// needs no memory. What it says of a text that is no JSON document holds as far as
// decoding goes.
//
// It is about what decoding allocates, and never less than half of it; see
// TestDecodedSize.
func decodedSize(s string) int64 {
	if first := strings.TrimLeft(s, " \t\r\n"); first == "" || !strings.ContainsRune(`{["`, rune(first[0])) {
		return 0 // one value, or no JSON
	}
	var open [openLevels]level
	var size, pending, deepest int64
	depth := 0
	for i := 0; i < len(s) && size < enough; i++ {
		at := &open[min(depth, openLevels-1)]
		switch c := s[i]; c {
		case ' ', '\t', '\n', '\r':
		case '"':
			at.filled = true
			end, escapes := textEnd(s, i+1)
			size += sizeBoxed
			if escapes {
				size += 2*sizeBoxed + unescaping*int64(end-i)
			}
			i = end
		case ':':
			size -= sizeBoxed // that was a key
		case ',':
			at.commas++
			pending += at.places
			deepest = max(deepest, pending)
		case '{', '[':
			at.filled = true
			size += sizeArray
			if depth++; depth < openLevels {
				open[depth] = level{places: 1 + int64(c&0x20)>>5} //nolint:gosec // checked; an object's has a key
			}
		case '}', ']':
			members := 0
			if at.filled {
				members = at.commas + 1
			}
			if depth < openLevels {
				pending -= int64(at.commas) * at.places
			}
			if c == '}' {
				size += SizeOfObject(members)
			} else {
				size += int64(members) * sizeMember * 9 / 8
			}
			depth = max(0, depth-1)
		case 't', 'f', 'n':
			at.filled = true
			for i+1 < len(s) && 'a' <= s[i+1] && s[i+1] <= 'z' {
				i++
			}
		default:
			at.filled = true
			size += sizeBoxed
			for i+1 < len(s) && s[i+1] > ' ' && s[i+1] != ',' && s[i+1] != ']' && s[i+1] != '}' {
				i++
			}
		}
	}
	return size + sizePlace*deepest
}

// textEnd is where the string ends that begins before from, and whether it has
// escapes.
func textEnd(s string, from int) (end int, escapes bool) {
	quote := strings.IndexByte(s[from:], '"')
	if quote >= 0 && strings.IndexByte(s[from:from+quote], '\\') < 0 {
		return from + quote, false
	}
	for i := from; i < len(s); i++ {
		switch s[i] {
		case '"':
			return i, true
		case '\\':
			i++
		}
	}
	return len(s), true
}

// SizeOfObject estimates the memory in bytes that making an object takes.
func SizeOfObject(members int) int64 {
	switch {
	case members == 0:
		return sizeMap
	case members <= 8:
		return sizeMap + sizeGroup
	}
	slots := int64(1) << bits.Len64(uint64(members)*8/7)
	if slots > maxTable {
		return 2 * slots * sizeSlot
	}
	return sizeMap + 64 + slots*sizeSlot
}
