package command

import (
	"io"
	"os"

	"golang.org/x/term"
)

// color is an SGR parameter of two digits: all are of one length, so that a
// tabwriter, which counts them, keeps its columns straight.
type color string

const (
	plain  color = "39"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
)

// painter colours texts, or leaves them as they are.
type painter bool

// colors returns a painter for what a command writes: one that colours when that
// goes to a terminal, TERM is not dumb and NO_COLOR (no-color.org) is not set.
func colors(out io.Writer) painter {
	file, ok := out.(*os.File)
	return painter(ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd())))
}

// in returns a text in a colour. All cells of a column have to be painted, its
// head in plain.
func (p painter) in(c color, text string) string {
	if !p {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[39m"
}

// outcome colours how a call ended.
func (p painter) outcome(outcome string) string { return p.in(colorOfOutcome(outcome), outcome) }

func colorOfOutcome(outcome string) color {
	switch outcome {
	case "ok", "not_found", "ambiguous":
		return green
	case "":
		return plain
	case "stale", "partial", "dry_run", "incomplete", "bad_request", "unauthorized", "canceled":
		return yellow
	default:
		return red
	}
}

// state colours the state of an API, its breaker or a token source.
func (p painter) state(state string) string {
	switch state {
	case "fresh", "due", "closed", "ok", "called again":
		return p.in(green, state)
	case "failing", "open", "degraded", "breaker open":
		return p.in(red, state)
	case "-", "", "idle":
		return p.in(plain, state)
	default:
		return p.in(yellow, state)
	}
}
