package command

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func jsonFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("json", false, "print JSON")
}

// show prints a value as JSON, or for people.
func show[T any](out io.Writer, asJSON bool, v T, table func(io.Writer, T) error) error {
	if asJSON {
		return printJSON(out, v)
	}
	return table(out, v)
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// inOneLine returns a value as JSON.
func inOneLine(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return ""
	}
	return strings.TrimRight(b.String(), "\n")
}

// newTable returns a writer of lines whose cells, separated by tabs, are aligned
// when it is flushed.
func newTable(out io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(out, 0, 0, 2, ' ', 0) }

// span returns a duration that begins or ends at a time, "-" if there is none.
func span(t time.Time, d time.Duration) string {
	if t.IsZero() {
		return "-"
	}
	return d.Round(time.Second).String()
}

// color is an SGR parameter of two digits. All have the same length, so that the
// columns of a tabwriter, which counts them, stay aligned.
type color string

const (
	plain  color = "39"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
)

// colorOf are the colours of outcomes, and of the states of APIs, breakers and
// token sources.
var colorOf = map[string]color{
	"": plain, "-": plain, "idle": plain,
	"ok": green, "not_found": green, "ambiguous": green, "fresh": green, "due": green, "closed": green, "called again": green,
	"stale": yellow, "partial": yellow, "dry_run": yellow, "incomplete": yellow, "bad_request": yellow, "unauthorized": yellow, "canceled": yellow,
	"failing": red, "open": red, "degraded": red, "breaker open": red,
}

// painter colours text, or leaves it unchanged.
type painter bool

// colors returns a painter for the output of a command. It colours if the output
// is a terminal, TERM is not dumb, and NO_COLOR (no-color.org) is not set.
func colors(out io.Writer) painter {
	return painter(os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(out))
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// in returns a coloured text. All cells of a column must be coloured, the heading
// in plain.
func (p painter) in(c color, text string) string {
	if !p {
		return text
	}
	return fmt.Sprintf("\x1b[%sm%s\x1b[39m", c, text)
}

func (p painter) word(text string, otherwise color) string {
	if c, ok := colorOf[strings.TrimSpace(text)]; ok {
		return p.in(c, text)
	}
	return p.in(otherwise, text)
}

// outcome colours an outcome.
func (p painter) outcome(text string) string { return p.word(text, red) }

// state colours the state of an API, its breaker or a token source.
func (p painter) state(text string) string { return p.word(text, yellow) }

// printable returns a text of a caller's without what would control a terminal or break
// a table.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
