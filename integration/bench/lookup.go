package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/customers"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

// lookups measures what a lookup costs against `respond` with the same body,
// over a directory of n made-up customers in SQLite.
func lookups(binary string, n, rounds, requests int) error {
	dir, err := os.MkdirTemp("", "switchboard-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "Caddyfile")
	port, err := freePort()
	if err != nil {
		return err
	}
	someone := asked(n)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	write := func(body string) error {
		return os.WriteFile(file, fmt.Appendf(nil, lookupSite, filepath.Join(dir, "customers.db"), base, body), 0o600)
	}
	if err := write("null"); err != nil {
		return err
	}
	if err := fillDirectory(binary, file, dir, n); err != nil {
		return err
	}
	_, stop, err := serve(binary, file, dir, base+"/plain")
	if err != nil {
		return err
	}
	// respond is to answer with the very body that the lookup gives
	body, err := read(base + "/lookup?id=" + someone.ID)
	stop()
	if err != nil {
		return err
	}
	if !strings.Contains(body, someone.ID) {
		return fmt.Errorf("customer %s is not found", someone.ID)
	}
	if err := write(body); err != nil {
		return err
	}
	pid, stop, err := serve(binary, file, dir, base+"/plain")
	if err != nil {
		return err
	}
	defer stop()
	cached := base + "/cached?id=" + someone.ID
	if err := untilHit(cached); err != nil {
		return err
	}
	nobody := base + "/lookup?tel=13700000001"
	if body, err := read(nobody); err != nil {
		return err
	} else if body != "null" {
		return fmt.Errorf("who should be nobody is %s", body)
	}
	return compare(pid, []variant{
		{name: "respond, the same body", path: base + "/plain"},
		{name: "lookup by id", path: base + "/lookup?id=" + someone.ID, limit: 2.5},
		{name: "lookup by tel", path: base + "/lookup?tel=" + strings.TrimPrefix(someone.Tel, "+"), limit: 2.5},
		{name: "lookup by email", path: base + "/lookup?email=" + someone.Email, limit: 2.5},
		{name: "lookup by thirdAccountId", path: base + "/lookup?thirdAccountId=" + someone.PartnerID, limit: 2.5},
		{name: "lookup from the cache", path: cached, limit: 1.3},
		{name: "lookup of nobody", path: nobody, limit: 2.5},
	}, rounds, requests)
}

const lookupSite = `{
	admin off
	log {
		level ERROR
	}
	switchboard {
		customers sqlite %s
		region CN
	}
}
%s {
	bind 127.0.0.1
	customer_lookup /lookup {
		auth none
	}
	customer_lookup /cached {
		auth none
		cache 1h
	}
	header /plain Content-Type application/json
	respond /plain ` + "`%s`" + `
}
`

// asked is a customer from the middle who can be found by everything.
func asked(n int) *customer.Record {
	people := customers.New(1)
	for i := n / 2; ; i++ {
		if c := people.Customer(i); c.PartnerID != "" && c.Email != "" && strings.HasPrefix(c.Tel, "1") || i == n-1 {
			return c
		}
	}
}

// fillDirectory imports n customers as a user would.
func fillDirectory(binary, config, dir string, n int) error {
	r, w := io.Pipe()
	go func() {
		out := json.NewEncoder(w)
		people := customers.New(1)
		var err error
		for i := 0; i < n && err == nil; i++ {
			object := make(map[string]string)
			people.Customer(i).Complete(func(name, value string) { object[name] = value })
			err = out.Encode(object)
		}
		_ = w.CloseWithError(err)
	}()
	cmd := exec.CommandContext(context.Background(), binary, "switchboard", "customers", "import", "-", "--format", "ndjson", "--config", config, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	cmd.Stdin = r
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("importing: %w\n%s", err, said.String())
	}
	return nil
}

func read(url string) (string, error) {
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return string(text), err
}

// serve runs the binary until stop, once it answers.
func serve(binary, config, dir, url string) (pid int, stop func(), err error) {
	cmd := exec.CommandContext(context.Background(), binary, "run", "--config", config, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "GOMAXPROCS=2")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 200 {
		if _, err = read(url); err == nil {
			return cmd.Process.Pid, stop, nil
		}
		<-tick.C
	}
	stop()
	return 0, nil, fmt.Errorf("%s did not start: %w", binary, err)
}
