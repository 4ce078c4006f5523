package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/customers"
	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/exchange"
)

// importing compares the import of made up customers with what SQLite's own
// shell needs for the same rows in the same tables.
func importing(binary string, n int) error {
	dir, err := os.MkdirTemp("", "switchboard-import-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ours, theirs := filepath.Join(dir, "customers.csv"), filepath.Join(dir, "rows.csv")
	if err := writeRows(ours, theirs, n); err != nil {
		return err
	}
	shell := filepath.Join(dir, "shell")
	if _, _, err := timed(caddyIn(binary, shell, "count")); err != nil { // makes the tables
		return err
	}
	database := filepath.Join(shell, "caddy", "switchboard", "customers.db")
	theirTime, _, err := timed(exec.CommandContext(context.Background(), "sqlite3", "-csv", database,
		"PRAGMA synchronous = NORMAL", ".import --skip 1 "+theirs+" switchboard_customers"))
	if err != nil {
		return err
	}
	ourTime, memory, err := timed(caddyIn(binary, filepath.Join(dir, "ours"), "import", ours))
	if err != nil {
		return err
	}
	fmt.Printf("\nimport of %d customers: %.1f s, sqlite3's .import %.1f s; speed %.2f of it (at least 0.40), %d MiB at most (200)\n",
		n, ourTime.Seconds(), theirTime.Seconds(), theirTime.Seconds()/ourTime.Seconds(), memory>>20)
	return nil
}

func caddyIn(binary, data string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), binary, append([]string{"switchboard", "customers"}, args...)...)
	if path, err := filepath.Abs(binary); err == nil {
		cmd.Path = path
	}
	cmd.Dir = os.TempDir()
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+data)
	return cmd
}

// timed runs a command, and gives its time and the most memory it had.
func timed(cmd *exec.Cmd) (took time.Duration, memory int64, err error) {
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	took = time.Since(begin)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		memory = usage.Maxrss << 10
	}
	return took, memory, nil
}

// writeRows writes the same customers for us, and as rows of the table: with the
// columns that the store computes.
func writeRows(ours, theirs string, n int) error {
	f, err := os.Create(ours)
	if err != nil {
		return err
	}
	if _, err := exchange.Export(context.Background(), customers.List{Seed: 1, N: n}, f, exchange.CSV, nil); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	g, err := os.Create(theirs)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(g, 1<<20)
	w := csv.NewWriter(out)
	_ = w.Write([]string{"header"}) // is skipped
	cells := make([]string, 0, len(customer.Fields)+4)
	for i := range n {
		c := customers.New(1).Customer(i)
		cells = cells[:0]
		for k := range customer.Fields {
			cells = append(cells, *customer.Fields[k].Of(c))
		}
		custom := ""
		if c.Custom != nil {
			custom = string(exchange.AppendJSON(nil, &customer.Record{Custom: c.Custom}))
		}
		cells = append(cells, custom, customer.TelKey(c.Tel, phone.Region{}), customer.EmailKey(c.Email), strconv.Itoa(i+1))
		_ = w.Write(cells) // Error tells
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	return g.Close()
}
