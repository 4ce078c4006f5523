package answer

import (
	"cmp"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// Style is how the answers of one route are written: a format, and what a
// phone system can't take. The zero Style is JSON without a limit. It is
// immutable and safe for concurrent use; a copy with another Format is another
// Style.
type Style struct {
	Format Format

	// Limit is the most bytes of an answer, 0 for no limit of its own.
	Limit int

	// FieldLimit is the most bytes of one string after the filter, 0 for none.
	// A longer one makes the whole answer jsonval.ErrTooLarge: half of a value would
	// be another value.
	FieldLimit int

	// NoNull writes "" where JSON has null, at every depth.
	NoNull bool

	// Object writes a JSON answer that is no object as {"value": …}, the name
	// that Flat gives it.
	Object bool

	system string // whose style it is, for messages
	filter *filter
}

// In is the style in another format. What is for JSON alone falls away.
func (s *Style) In(format Format) Style {
	other := *s
	other.Format = format
	if format != JSON {
		other.NoNull, other.Object = false, false
	}
	return other
}

// Errors is the style of an error message: JSON, through the same filter and
// within the same limits.
func (s *Style) Errors() Style {
	return Style{Format: JSON, Limit: s.Limit, FieldLimit: s.FieldLimit, system: s.system, filter: s.filter}
}

// ContentType is the Content-Type of the answers.
func (s *Style) ContentType() string { return s.Format.ContentType() }

// Append appends doc to dst. Strings and keys pass the filter first. Errors are
// those of [Format.Append]; over a limit it is jsonval.ErrTooLarge, never a cut
// answer. dst then comes back as it was.
func (s *Style) Append(dst []byte, doc any) ([]byte, error) {
	out, err := s.write(dst, doc)
	if err != nil {
		return dst, err
	}
	if s.Limit > 0 && len(out)-len(dst) > s.Limit {
		return dst, jsonval.ErrTooLarge
	}
	return out, nil
}

func (s *Style) write(dst []byte, doc any) ([]byte, error) {
	switch s.Format {
	case Flat:
		return s.appendFlat(dst, doc)
	case Form:
		return s.appendForm(dst, doc)
	case Text:
		return s.appendText(dst, doc)
	default:
		doc, err := s.shape(doc)
		if err != nil {
			return dst, err
		}
		return jsonval.Encode(dst, doc, jsonval.Limits{Bytes: s.limit(maxBytes), Depth: maxDepth})
	}
}

// limit is what an answer may have, at most general bytes.
func (s *Style) limit(general int) int { return min(cmp.Or(s.Limit, general), general) }

// text returns a string as it is written.
func (s *Style) text(value string) (string, error) {
	value = s.filter.apply(value)
	if s.FieldLimit > 0 && len(value) > s.FieldLimit {
		return "", jsonval.ErrTooLarge
	}
	return value, nil
}
