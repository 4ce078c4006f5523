package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// hits measures what an answer from the cache costs against `respond` with the
// same body.
func hits(binary, upstream string, rounds, requests int) error {
	dir, err := os.MkdirTemp("", "switchboard-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	port, err := freePort()
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "Caddyfile")
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	order := base + "/order?tel=13800138000"
	write := func(body string) error {
		return os.WriteFile(file, []byte(strings.NewReplacer("{BASE}", base, "{UPSTREAM}", upstream, "{BODY}", body).Replace(hitSite)), 0o600)
	}
	if err := write("null"); err != nil {
		return err
	}
	_, stop, err := serve(binary, file, dir, base+"/plain")
	if err != nil {
		return err
	}
	body, err := read(order)
	stop()
	if err != nil {
		return err
	}
	if err := write(body); err != nil {
		return err
	}
	pid, stop, err := serve(binary, file, dir, base+"/plain")
	if err != nil {
		return err
	}
	defer stop()
	if err := untilHit(order); err != nil {
		return err
	}
	return compare(pid, []variant{
		{name: "respond, the same body", path: base + "/plain"},
		{name: "an answer from the cache", path: order, limit: 1.25},
	}, rounds, requests)
}

const hitSite = `{
	admin off
	log {
		level ERROR
	}
}
{BASE} {
	bind 127.0.0.1
	api /order order {
		to http://{UPSTREAM}/answer
		query ` + "`{tel}`" + `
		output ` + "`.data`" + `
		default ` + "`{nick: \"\", isVip: \"2\"}`" + `
		cache 1h
	}
	header /plain Content-Type application/json
	respond /plain ` + "`{BODY}`" + `
}
`

// untilHit asks until the cache answers.
func untilHit(url string) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		res, err := client.Get(url)
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		if strings.Contains(res.Header.Get("Cache-Status"), "; hit") {
			return nil
		}
		<-tick.C
	}
	return fmt.Errorf("%s is never answered from the cache", url)
}
