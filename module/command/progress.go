package command

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// every is how often a line is written where no terminal is.
const every = 5 * time.Second

// progress shows how far something is, with its rate and the time that remains:
// as a bar on a terminal, else as a line from time to time.
type progress struct {
	to    io.Writer
	what  string
	begun time.Time
	last  time.Time
	bar   *progressbar.ProgressBar
	tty   bool
}

func newProgress(to io.Writer, what string) *progress {
	now := time.Now()
	f, ok := to.(*os.File)
	return &progress{to: to, what: what, begun: now, last: now, tty: ok && term.IsTerminal(int(f.Fd()))}
}

// bytes is for what is measured by the bytes read: rows says how many customers
// they were.
func (p *progress) bytes(done, size, rows int64) { p.show(done, size, rows) }

// rows is for what is measured by its customers.
func (p *progress) rows(done, total int64) { p.show(done, total, done) }

func (p *progress) show(done, size, rows int64) {
	now := time.Now()
	rate := float64(rows) / max(now.Sub(p.begun).Seconds(), 0.001)
	text := fmt.Sprintf("%s %s, %s/s", humanize.Comma(rows), p.what, humanize.Comma(int64(rate)))
	if p.tty {
		if p.bar == nil {
			if size <= 0 {
				size = -1
			}
			p.bar = progressbar.NewOptions64(size, progressbar.OptionSetWriter(p.to), progressbar.OptionClearOnFinish(),
				progressbar.OptionSetPredictTime(true), progressbar.OptionSetElapsedTime(true), progressbar.OptionThrottle(100*time.Millisecond))
		}
		p.bar.Describe(text)
		_ = p.bar.Set64(done) // it is only to be looked at
		return
	}
	if now.Sub(p.last) < every {
		return
	}
	p.last = now
	if done > 0 && size > 0 {
		left := time.Duration(float64(now.Sub(p.begun)) * float64(size-done) / float64(done)).Round(time.Second)
		text += fmt.Sprintf(", %d%%, %v left", 100*done/size, max(left, 0))
	}
	fmt.Fprintln(p.to, text)
}

// clear takes the bar away until it is shown again, so that a line can be written.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
