package integration

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// BenchmarkChain compares a call with two parts with calls of the parts: the CPU time
// of the process for each call, and the time that a caller waits for an API that takes
// 20 ms.
func BenchmarkChain(b *testing.B) {
	api := startProvider(b, provider.Options{})
	caddy := start(b, api, setup{site: chain{id: ".customer"}.site()})
	paths := map[string]string{
		"customer": caddy.URL("/api/customer?tel=13800138000"),
		"order":    caddy.URL("/api/order?customer=C1001"),
		"both":     caddy.URL("/ivr/both?tel=13800138000&customer=C1001"),
	}
	for _, name := range []string{"customer", "order", "both"} {
		b.Run("CPU/"+name, func(b *testing.B) {
			before := cpu(b, caddy.PID())
			for b.Loop() {
				harness.Get(b, paths[name])
			}
			b.ReportMetric(float64((cpu(b, caddy.PID())-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
	inject(b, api, provider.Fault{Target: provider.API, Fault: "latency", Delay: 20 * time.Millisecond})
	for _, name := range []string{"customer", "order", "both"} {
		b.Run("Time/"+name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				begin := time.Now()
				harness.Get(b, paths[name])
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
		})
	}
}

// cpu returns the CPU time that a process has used, in steps of 10 ms.
func cpu(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	ticks := 0
	for _, field := range fields[11:13] { // utime and stime
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
