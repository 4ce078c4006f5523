// Command bench measures what Switchboard costs: the CPU time per request of
// the built binary, against bare reverse_proxy in the same process and the same
// run. It prints ratios; absolute times say more of the machine.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// variant is one way to reach the API.
type variant struct {
	name, site, path string
	limit            float64 // of the ratio, for the reader
}

var variants = []variant{
	{"bare reverse_proxy", "reverse_proxy {UPSTREAM}", "/answer", 0},
	{"inject (transport)", "reverse_proxy {UPSTREAM} {\n transport switchboard {\n token crm\n }\n }", "/answer", 1.05},
	{"inject (sidecar)", "api side {\n to http://{UPSTREAM}\n token crm\n }", "/answer", 0},
	{"inject and shape 1 KB", "api order {\n to http://{UPSTREAM}/answer\n token crm\n" +
		" query `{tel}`\n success `.code == \"000000\"`\n not_found `.data == null`\n" +
		" output `{name: .data.nick, vip: .data.isVip, order: .data.orderId}`\n" +
		" default `{name: \"\", vip: \"2\", order: \"\"}`\n }", "/order?tel=13800138000", 1.35},
}

const global = `{
	admin off
	log {
		level ERROR
	}
	switchboard {
		token crm {
			static bench-token
		}
	}
}
`

func main() {
	binary := flag.String("caddy", "bin/caddy", "the `binary` to measure")
	rounds := flag.Int("rounds", 15, "rounds over all variants")
	requests := flag.Int("requests", 3000, "requests of a variant in a round")
	people := flag.Int("customers", 1_000_000, "customers to import and to look up; 0 leaves both out")
	flag.Parse()
	err := run(*binary, *rounds, *requests)
	if err == nil && *people > 0 {
		err = importing(*binary, *people)
	}
	if err == nil && *people > 0 {
		err = lookups(*binary, *people, *rounds, *requests)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(binary string, rounds, requests int) error {
	answer, err := orderAnswer()
	if err != nil {
		return err
	}
	api, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})}
	go func() { _ = server.Serve(api) }()
	defer server.Close()

	urls, pid, stop, err := start(binary, api.Addr().String())
	if err != nil {
		return err
	}
	defer stop()

	measured := slices.Clone(variants)
	for i, url := range urls {
		measured[i].path = url
	}
	if err := compare(pid, measured, rounds, requests); err != nil {
		return err
	}
	return hits(binary, api.Addr().String(), rounds, requests)
}

// compare measures variants, whose paths are whole URLs, in turns, and prints
// what each costs in terms of the first.
func compare(pid int, variants []variant, rounds, requests int) error {
	costs := make([][]float64, len(variants))
	ratios := make([][]float64, len(variants))
	order := make([]int, len(variants))
	for i := range order {
		order[i] = i
	}
	for round := range rounds + 1 {
		cost := make([]float64, len(variants))
		for _, i := range order {
			var err error
			if cost[i], err = measure(pid, variants[i].path, requests); err != nil {
				return fmt.Errorf("%s: %w", variants[i].name, err)
			}
		}
		slices.Reverse(order) // what changes with time is nobody's advantage
		if round == 0 {
			continue // it warms up
		}
		for i := range variants {
			costs[i] = append(costs[i], cost[i])
			ratios[i] = append(ratios[i], cost[i]/cost[0])
		}
	}
	fmt.Printf("%-24s %12s %8s %8s\n", "", "µs CPU/req", "ratio", "at most")
	for i, v := range variants {
		limit := ""
		if v.limit > 0 {
			limit = strconv.FormatFloat(v.limit, 'f', 2, 64)
		}
		fmt.Printf("%-24s %12.1f %8.3f %8s\n", v.name, median(costs[i]), median(ratios[i]), limit)
	}
	return nil
}

// orderAnswer is the provider's answer of about 1 KB.
func orderAnswer() ([]byte, error) {
	api := provider.New(provider.Options{})
	if err := api.Start("127.0.0.1:0"); err != nil {
		return nil, err
	}
	defer api.Close()
	res, err := http.Get(api.URL() + "/free/open/order/query?tel=13800138000")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

// start runs the binary with one server for each variant.
func start(binary, upstream string) (urls []string, pid int, stop func(), err error) {
	dir, err := os.MkdirTemp("", "switchboard-bench-")
	if err != nil {
		return nil, 0, nil, err
	}
	var config strings.Builder
	config.WriteString(global)
	for _, v := range variants {
		port, err := freePort()
		if err != nil {
			return nil, 0, nil, err
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		fmt.Fprintf(&config, "http://%s {\n\tbind 127.0.0.1\n\t%s\n}\n", address, strings.ReplaceAll(v.site, "{UPSTREAM}", upstream))
		urls = append(urls, "http://"+address+v.path)
	}
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		return nil, 0, nil, err
	}
	pid, end, err := serve(binary, file, dir, urls[len(urls)-1])
	stop = func() {
		if end != nil {
			end()
		}
		_ = os.RemoveAll(dir)
	}
	if err != nil {
		stop()
	}
	return urls, pid, stop, err
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true}, Timeout: 10 * time.Second}

// measure is the CPU time of a request in µs, over n requests on 8 connections.
func measure(pid int, url string, n int) (float64, error) {
	before, err := cpu(pid)
	if err != nil {
		return 0, err
	}
	var failed error
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for range n / 8 {
				if err := get(url); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
			}
		})
	}
	workers.Wait()
	if failed != nil {
		return 0, failed
	}
	after, err := cpu(pid)
	return float64(after-before) / 1e3 / float64(n/8*8), err
}

func get(url string) error {
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
}

// cpu is the time in ns that the threads of a process have run.
func cpu(pid int) (int64, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("no schedstat of process %d: %w", pid, err)
	}
	var sum int64
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		run, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(run, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += ns
	}
	return sum, nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v) == 0 {
		return 0
	}
	return v[len(v)/2]
}
