// Package blocks reads the blocks of a Caddyfile: lines that may stand once, and the
// kinds of arguments that they take. Its errors name the file and the line, say what is
// wrong and what to write instead.
package blocks

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/switchboard-ivr/switchboard/module/program"
)

// Lines are the lines of a block by their first word. Each reads the arguments of its
// line, and a block behind them if it takes one; the current token is the word.
type Lines map[string]func() error

// Reader reads the lines of one block. Its methods for arguments return a function for
// [Lines], which stores what it has read.
type Reader struct {
	d    *caddyfile.Dispenser
	what string
	at   map[string]*caddyfile.Dispenser // where each line stands
}

// New returns a reader of the block that follows the current token of d. What names the
// block in errors, as in "api order".
func New(d *caddyfile.Dispenser, what string) *Reader {
	return &Reader{d: d, what: what, at: map[string]*caddyfile.Dispenser{"": here(d)}}
}

func here(d *caddyfile.Dispenser) *caddyfile.Dispenser {
	at := caddyfile.NewDispenser([]caddyfile.Token{d.Token()})
	at.Next()
	return at
}

// Read reads the block. A line stands once, unless its word is one of repeatable.
func (r *Reader) Read(lines Lines, repeatable ...string) error {
	before := ""
	for nesting := r.d.Nesting(); r.d.NextBlock(nesting); {
		word := r.d.Val()
		read, known := lines[word]
		if !known && word == "{" && before != "" {
			return r.d.Errf("`%s` takes no block; write all of its arguments on its own line, without `{`", before)
		}
		if !known {
			return r.Unknown(word, lines)
		}
		before = word
		if !slices.Contains(repeatable, word) {
			if err := r.Once(word); err != nil {
				return err
			}
		} else if r.at[word] == nil {
			r.at[word] = here(r.d)
		}
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

// Unknown is the error for a line that the block doesn't take.
func (r *Reader) Unknown(word string, lines Lines) error {
	kind, _, _ := strings.Cut(r.what, " ")
	return r.d.Errf("unrecognized subdirective '%s' of %s; known are %s", word, kind, list(slices.Sorted(maps.Keys(lines))))
}

func list(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// Once notes that a line stands here, and refuses a second one.
func (r *Reader) Once(word string) error {
	if before, ok := r.at[word]; ok {
		return r.d.Errf("%s is already set in line %d", word, before.Line())
	}
	r.at[word] = here(r.d)
	return nil
}

// Has reports whether the block has a line of that word.
func (r *Reader) Has(word string) bool { return r.at[word] != nil }

// Empty reports whether the block has no lines.
func (r *Reader) Empty() bool { return len(r.at) == 1 }

// At adds to an error where the line of a word stands, or the block if there is none.
func (r *Reader) At(word string, err error) error {
	at, ok := r.at[word]
	if !ok {
		at = r.at[""]
	}
	return fmt.Errorf("%s: %w, at %s:%d", r.what, err, at.File(), at.Line())
}

// wrongCount is the error for a line with too few or too many arguments.
func (r *Reader) wrongCount(word, takes string) error {
	return r.d.Errf("%s: wrong argument count; it takes %s", word, takes)
}

// Text reads one argument.
func (r *Reader) Text(into *string) func() error {
	return func() error {
		word := r.d.Val()
		if !r.d.AllArgs(into) {
			return r.wrongCount(word, "one argument; quote one that holds blanks")
		}
		if *into == "" {
			return r.d.Errf("the value of %s is blank", word)
		}
		return nil
	}
}

// Word reads one of some words.
func (r *Reader) Word(into *string, words ...string) func() error {
	return func() error {
		word := r.d.Val()
		if err := r.Text(into)(); err != nil {
			return err
		}
		if !slices.Contains(words, *into) {
			return r.d.Errf("%s %q is unknown; write %s", word, *into, strings.Join(words, " or "))
		}
		return nil
	}
}

// Words reads one argument or more.
func (r *Reader) Words(into *[]string) func() error {
	return func() error {
		word := r.d.Val()
		if *into = r.d.RemainingArgs(); len(*into) == 0 {
			return r.wrongCount(word, "one argument or more")
		}
		return nil
	}
}

// Program reads a jq program, or the file that holds it.
func (r *Reader) Program(into *string) func() error {
	return func() (err error) {
		word, raw := r.d.Val(), ""
		if !r.d.AllArgs(&raw) {
			return r.d.Errf("%s takes one jq program; put it in backquotes", word)
		}
		*into, err = program.Arg(r.d, raw)
		return err
	}
}

// Duration reads a duration above 0.
func (r *Reader) Duration(into *caddy.Duration) func() error {
	return func() (err error) {
		word, raw := r.d.Val(), ""
		if !r.d.AllArgs(&raw) {
			return r.wrongCount(word, "one duration, e.g. 500ms")
		}
		if *into, err = ParseDuration(raw); err != nil {
			return r.d.Errf("%s: %v", word, err)
		}
		if *into == 0 {
			return r.d.Errf("%s: %q is not a duration above 0; write it like 500ms, 30s, 10m, 2h or 7d", word, raw)
		}
		return nil
	}
}

// ParseDuration parses a duration of 0 or more.
func ParseDuration(raw string) (caddy.Duration, error) {
	d, err := caddy.ParseDuration(raw)
	if err != nil {
		return 0, fmt.Errorf("%q is not a valid duration; write it like 500ms, 30s, 10m, 2h or 7d", raw)
	}
	if d < 0 {
		return 0, errors.New("durations must not be negative")
	}
	return caddy.Duration(d), nil
}

// Size reads a number of bytes from 1 to most.
func Size[N int | int64](r *Reader, into *N, most N) func() error {
	return func() error {
		word, raw := r.d.Val(), ""
		if !r.d.AllArgs(&raw) {
			return r.wrongCount(word, "one size without a blank, e.g. 1MiB")
		}
		n, err := humanize.ParseBytes(raw)
		if err != nil || n == 0 || n > uint64(most) {
			return r.d.Errf("%s: %q is not a size from 1B to %s; write it like 4095B, 512KiB or 1MiB", word, raw, strings.ReplaceAll(humanize.IBytes(uint64(most)), " ", ""))
		}
		*into = N(n)
		return nil
	}
}

// OnOff reads on or off.
func (r *Reader) OnOff(into **bool) func() error {
	return func() error {
		var raw string
		if word := r.d.Val(); !r.d.AllArgs(&raw) || raw != "on" && raw != "off" {
			return r.d.Errf("%s takes on or off", word)
		}
		*into = new(raw == "on")
		return nil
	}
}

// Flag reads a line without arguments, which sets a flag.
func (r *Reader) Flag(into *bool) func() error {
	return func() error {
		word := r.d.Val()
		if r.d.NextArg() {
			return r.wrongCount(word, "no argument")
		}
		*into = true
		return nil
	}
}
