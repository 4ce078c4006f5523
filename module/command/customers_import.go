package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/exchange"
)

func (p *place) importing() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import [FILE | -]",
		Short: "Imports customers from a CSV, NDJSON or JSON file",
		Long: `Imports customers from a file, or from stdin if FILE is - or missing.

The first line of a CSV names the fields, e.g. id,tel,email,nick; other names are the
ids of custom fields. NDJSON has one JSON object per line, with the same names; a JSON
array of such objects works, too. A row replaces the customer with its id.

An import that was interrupted, e.g. by Ctrl-C, continues where it stopped when the same
command is run again; an import from stdin starts over, with the same result.

Invalid rows are written to a file of their own, each with its line and the reason, and
the exit status is 1. Customers whose telephone number or email can't be searched are
imported; the summary counts them, with the first line.`,
		Example: "  caddy switchboard customers import customers.csv\n" +
			"  zcat customers.ndjson.gz | caddy switchboard customers import --rejects bad.ndjson",
		Args: cobra.MaximumNArgs(1),
	}
	importer := exchange.Importer{Rejects: new(exchange.Rejects)}
	format := cmd.Flags().String("format", "", "csv, ndjson or json; default: detected")
	cmd.Flags().StringVar(&importer.Rejects.Path, "rejects", "", "`file` for rejected rows; default: FILE.rejects.csv or .ndjson beside FILE")
	cmd.Flags().IntVar(&importer.Batch, "batch", exchange.DefaultBatch, "customers per transaction")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := interruptible(cmd)
		defer stop()
		if importer.Batch < 1 || importer.Batch > 100_000 {
			return errors.New("--batch must be between 1 and 100000")
		}
		return p.withDirectory(ctx, cmd, func(d *customer.Directory) error {
			return d.Write(func(w customer.Writer) error {
				importer.Store, importer.Region = w, d.Region()
				return runImport(ctx, cmd, importer, *format, fileOf(args))
			})
		})
	}
	return cmd
}

func runImport(ctx context.Context, cmd *cobra.Command, importer exchange.Importer, formatName, name string) (err error) {
	format, err := exchange.ParseFormat(formatName)
	if err != nil {
		return err
	}
	src := exchange.Source{Reader: cmd.InOrStdin()}
	if name == "-" {
		name = "stdin"
	} else {
		f, err := os.Open(name) //nolint:gosec // the path is an operator's argument
		if err != nil {
			return err
		}
		defer f.Close()
		if src, err = exchange.FromFile(f); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	src.Format = format
	rejects := importer.Rejects
	if rejects.Path != "" && same(rejects.Path, name) {
		return errors.New("--rejects must not be the imported file")
	}
	rejects.Name = name
	show := newProgress(cmd.ErrOrStderr(), "customers imported")
	importer.Progress = func(p exchange.Progress) { show.bytes(p.Bytes, p.Size, p.Stored) }
	importer.Custom = func(ids []string) {
		fmt.Fprintln(cmd.ErrOrStderr(), "custom fields:", strings.Join(ids, ", "))
	}
	importer.Unsearchable = func(u exchange.Unsearchable) {
		show.clear()
		fmt.Fprintf(cmd.ErrOrStderr(), "line %d: %s can't be searched: it is not %s\n", u.First, u.Field, searchable[u.Field])
	}
	result, err := importer.Run(ctx, src)
	show.end()
	err = errors.Join(stopped(ctx, err), rejects.Close())
	return summary(cmd.OutOrStdout(), result, rejects.Path, name, src.ID != "", err)
}

// fileOf returns the argument of a command that takes a file; - is stdin or stdout.
func fileOf(args []string) string {
	if len(args) == 0 {
		return "-"
	}
	return args[0]
}

// searchable describes the valid values of searchable fields.
var searchable = map[string]string{
	string(customer.ByTel):   "a valid telephone number, in the region of the configuration or with its country code",
	string(customer.ByEmail): "an email address",
}

// summary prints the result of an import, and returns an error if something was
// wrong.
func summary(to io.Writer, result exchange.Result, rejects, name string, resumable bool, err error) error {
	if result.Resumed > 0 {
		fmt.Fprintf(to, "continued after line %d\n", result.Resumed)
	}
	fmt.Fprintf(to, "imported %s, rejected %s\n", humanize.Comma(result.Stored), humanize.Comma(result.Rejected))
	for _, u := range result.Unsearchable {
		fmt.Fprintln(to, u)
	}
	switch {
	case errors.Is(err, errStopped) && result.Line == 0:
		return fmt.Errorf("%s: stopped before the first rows were stored; run the same command again", name)
	case errors.Is(err, errStopped) && resumable:
		return fmt.Errorf("%s: stopped at row %d; run the same command again", name, result.Line)
	case errors.Is(err, errStopped):
		return fmt.Errorf("%s: stopped at row %d; run the same command again to start over", name, result.Line)
	case err != nil && resumable && result.Stored+result.Resumed > 0:
		return fmt.Errorf("%s: %w; run the same command again to continue", name, err)
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case result.Rejected > 0:
		return fmt.Errorf("%s: some rows were rejected; they are in %s, with the reasons", name, rejects)
	}
	return nil
}

func same(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return filepath.Clean(a) == filepath.Clean(b) || errX == nil && errY == nil && os.SameFile(x, y)
}

// every is how often a line is printed if there is no terminal.
const every = 5 * time.Second

// progress shows how far something is, with its rate and the remaining time: as a
// bar on a terminal, and as a line from time to time elsewhere.
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
	return &progress{to: to, what: what, begun: now, last: now, tty: isTerminal(to)}
}

// bytes shows progress that is measured in bytes; rows is the number of customers
// so far.
func (p *progress) bytes(done, size, rows int64) {
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
		_ = p.bar.Set64(done) // the bar is only for display
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

// rows shows progress that is measured in customers.
func (p *progress) rows(done, total int64) { p.bytes(done, total, done) }

// clear removes the bar until it is shown again, so that a line can be printed.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// end removes the bar.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
