package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/exchange"
)

func (p *place) exporting() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export [FILE | -]",
		Short: "Exports all customers as CSV or NDJSON",
		Long: `Exports all customers to a file, or to stdout if FILE is - or missing. An import of
the export restores the same customers. The file only appears when it is complete, and
only its owner can read it.

In a CSV, cells that a spreadsheet would treat as a formula (those that begin with
= + - @) get a leading ', which an import removes again. For other programs, use NDJSON,
which has the plain values.`,
		Args: cobra.MaximumNArgs(1),
	}
	name := cmd.Flags().String("format", "", "csv or ndjson; default: by FILE's extension, else csv")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := interruptible(cmd)
		defer stop()
		file := fileOf(args)
		format, err := exchange.ParseFormat(*name)
		if err != nil {
			return err
		}
		if format == exchange.JSON {
			return errors.New("the format must be csv or ndjson; for a JSON array, pipe ndjson through `jq -s .` afterwards")
		}
		if ext := strings.ToLower(filepath.Ext(file)); format == exchange.Detect && (ext == ".ndjson" || ext == ".jsonl") {
			format = exchange.NDJSON
		}
		return p.withWriter(ctx, cmd, func(w customer.Writer) error {
			total, err := w.Count(ctx)
			if err != nil {
				return stopped(ctx, err)
			}
			show := newProgress(cmd.ErrOrStderr(), "customers exported")
			var n int64
			err = into(file, cmd.OutOrStdout(), func(to io.Writer) (err error) {
				n, err = exchange.Export(ctx, w, to, format, func(n int64) { show.rows(n, total) })
				return err
			})
			show.end()
			if err != nil && ctx.Err() != nil {
				err = fmt.Errorf("%w after %s customers; run the same command again", errStopped, humanize.Comma(n))
			}
			if err == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "exported %s\n", humanize.Comma(n))
			}
			return err
		})
	}
	return cmd
}

// into writes a file under a temporary name, and renames it when it is complete.
func into(name string, stdout io.Writer, write func(io.Writer) error) error {
	if name == "-" {
		return write(stdout)
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
