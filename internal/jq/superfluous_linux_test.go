package jq

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Guards by name, each with a program that gojq alone does not bound: it takes more
// than twice the time of a run, or more than 128 MiB, or the process, although its
// context ends in time. Names are those of natives, and of what else doc.go lists.
//
// When a new gojq bounds a program by itself, the test names the guard: it can go, or
// needs a better program here.
var unguarded = []struct{ guard, program, input string }{
	{"post", `reduce range(10) as $i (.;.+.)|length`, "items"},
	{"iter", `. as $x|[$x[]|$x[]|$x[]|$x[]|$x[]|$x[]|$x[]|$x[]]|length`, "items"},
	{"times", `"x"*1e9|length`, ""},
	{"times", `reduce range(40) as $i ({};{a:.,b:.})|.*.`, ""},
	{"minus", `.[0]-.[1]|length`, "ranges"},
	{"over", `./""|length`, "text"},
	{"over", `split("")|length`, "text"},
	{"chars", `[range(20) as $i|explode]|length`, "text"},
	{"sum", `add`, "texts"},
	{"sum", `@csv`, "texts"},
	{"grid", `transpose|length`, "grid"},
	{"tree", `reduce range(40) as $i ([1];[.,.])|flatten`, ""},
	{"digits", `("1"*8000000)|tonumber|.+1`, ""},
	{"layout", `0|strftime("%1024Y"*1000000)|length`, ""},
	{"subscript", `.[1] as $b|.[0][$b]|length`, "zeros"},
	{"steps", `. as $p|null|getpath($p)|=1`, "path"},
	{"equal", `reduce range(40) as $i ([1];[.,.])|.==(.|map(.))`, ""},
	{"equal", `[.]==[[.[0]]]`, "tower"},
	{"less", `reduce range(40) as $i ([1];[.,.])|.<(.|map(.))`, ""},
	{"order", `reduce range(40) as $i ([1];[.,.])|[.,map(.)]|sort`, ""},
	{"groups", `reduce range(40) as $i ([1];[.,.])|[.,map(.)]|group_by(.)`, ""},
	{"least", `reduce range(40) as $i ([1];[.,.])|[.,map(.)]|min_by(.)`, ""},
	{"bsearch", `reduce range(40) as $i ([1];[.,.])|map(.) as $x|[.,.]|bsearch($x)`, ""},
	{"contains", `.[0]|contains(.)`, "ranges"},
	{"inside", `.[0]|inside(.)`, "ranges"},
	{"indices", `.[1] as $b|.[0]|indices($b)|length`, "zeros"},
	{"index", `.[1] as $b|.[0]|index($b)`, "zeros"},
	{"rindex", `.[1] as $b|.[0]|rindex($b)`, "zeros"},
	{"concat", `reduce range(40) as $i ([1];[.,.])|"\(.)"`, ""},
	{"tostring", `reduce range(40) as $i ([1];[.,.])|tostring`, ""},
	{"tojson", `tojson|length`, "tower"},
	{"plain", `reduce range(40) as $i ([1];[.,.])|@base64`, ""},
	{"key", `reduce range(10) as $i (.;{"\(.)\(.)":1}|keys[0])|length`, "text"},
	{"fromjson", `fromjson|length`, "objects"},
	{"joined", `.[0]|join("x"*1000000)|length`, "zeros"},
	{"put", `null|.[536870911]=1|reverse|length`, ""},
	{"setpath", `. as $p|null|setpath($p;1)|length`, "path"},
	{"drop", `del(.a)`, "shared"},
	{"delpaths", `delpaths([["a"]])`, "shared"},
	{"test", `test("(((a{1,10}){1,10}){1,10})b")`, "letters"},
	{"match", `[match("a(.*b)?";"g")]|length`, "letters"},
	{"capture", `[capture("a(?<x>.*b)?";"g")]|length`, "letters"},
	{"scan", `[scan("a(.*b)?")]|length`, "letters"},
	{"splits", `[splits("a(.*b)?")]|length`, "letters"},
	{"sub", `gsub("a(.*b)?";"")|length`, "letters"},
	{"off", `jn(1000000000;2e9)`, ""},
	{"panics", `.+1`, "alien"},
}

// patience is how long gojq is told to run. What takes memory by and by, or needs two
// runs to meet, gets longer, so that a slow machine does not look like a bound.
func patience(input string) time.Duration {
	if input == "items" || input == "text" || input == "shared" {
		return 20 * Deadline
	}
	return Deadline
}

func unguardedInput(name string) any {
	switch name {
	case "text":
		return strings.Repeat("a", maxText)
	case "letters":
		return strings.Repeat("a", 1<<20)
	case "objects":
		return "[" + strings.Repeat(`{"a":0},`, 1<<20-1) + "0]"
	case "path":
		return slices.Repeat([]any{0}, 5_000_000)
	case "items":
		return slices.Repeat([]any{0}, maxItems)
	case "zeros":
		return []any{slices.Repeat([]any{0}, 100_000), append(slices.Repeat([]any{0}, 3000), 1)}
	case "ranges":
		v := make([]any, 80_000)
		for i := range v {
			v[i] = i
		}
		return []any{v[:40_000], v[40_000:]}
	case "texts":
		return slices.Repeat([]any{strings.Repeat("x", 1_000_000)}, 100_000)
	case "grid":
		return append(slices.Repeat([]any{[]any{}}, 100_000), slices.Repeat([]any{0}, 500_000))
	case "tower":
		var v any
		for range 5_000_000 {
			v = []any{v}
		}
		return v
	case "shared":
		v := map[string]any{"a": 1}
		for i := range 100 {
			v[strconv.Itoa(i)] = map[string]any{"b": 1, "c": 2}
		}
		return v
	case "alien":
		return int64(7)
	}
	return nil
}

const unguardedChild = "SWITCHBOARD_JQ_UNGUARDED"

func TestNoGuardIsSuperfluous(t *testing.T) {
	t.Parallel()
	if number := os.Getenv(unguardedChild); number != "" {
		i, _ := strconv.Atoi(number)
		runUnguarded(t, unguarded[i].program, unguarded[i].input)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	turns := make(chan struct{}, 4)
	var wg sync.WaitGroup
	for i, c := range unguarded {
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			begin := time.Now()
			survived, how := watchUnguarded(t, exe, i)
			t.Logf("%-10s %-80s %s, %v", c.guard, c.program, how, time.Since(begin).Round(time.Millisecond))
			if survived {
				t.Errorf("guard %s is superfluous: gojq alone bounds %s", c.guard, c.program)
			}
		})
	}
	wg.Wait()
}

// Each guard that is a function has its program above.
func TestGuardsAreNamed(t *testing.T) {
	t.Parallel()
	var named []string
	for _, c := range unguarded {
		named = append(named, c.guard)
	}
	// Parts of guards that are named, and functions that jq does not have.
	parts := strings.Fields(`unequal greater atmost atleast greatest splice edit get done
		md5 sha1 sha256 sha512 digest hmac sign jwt hex unhex base64url urlencode uuid mask flat blank e164 date`)
	for name := range natives {
		if !slices.Contains(named, name) && !slices.Contains(parts, name) {
			t.Errorf("guard %s: no program says what it is for", name)
		}
	}
}

// watchUnguarded runs a program in a child, and ends the child when it takes too
// much.
func watchUnguarded(t *testing.T, exe string, i int) (survived bool, how string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestNoGuardIsSuperfluous$")
	cmd.Env = append(os.Environ(), unguardedChild+"="+strconv.Itoa(i), "GOTRACEBACK=none", "GORACE=halt_on_error=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
		return false, ""
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return false, ""
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	lines := bufio.NewScanner(out)
	said := func(word string) bool {
		for lines.Scan() {
			if lines.Text() == word {
				return true
			}
		}
		return false
	}
	if !said("ready") {
		t.Errorf("%s: the child did not begin", unguarded[i].program)
		return false, ""
	}
	over := make(chan bool, 1)
	go func() { over <- said("over") }()
	before, end := resident(cmd.Process.Pid), time.After(patience(unguarded[i].input)+Deadline)
	for {
		select {
		case survived := <-over:
			if survived {
				return true, "survived"
			}
			return false, "died"
		case <-end:
			return false, "took too long"
		case <-time.After(2 * time.Millisecond):
			if resident(cmd.Process.Pid)-before > 128<<20 {
				return false, "took too much memory"
			}
		}
	}
}

// resident is the resident set of a process, in bytes.
func resident(pid int) int {
	statm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if fields := bytes.Fields(statm); len(fields) > 1 {
		pages, _ := strconv.Atoi(string(fields[1]))
		return pages * os.Getpagesize()
	}
	return 0
}

// runUnguarded runs a program with gojq alone.
func runUnguarded(t *testing.T, program, input string) {
	t.Helper()
	code := gojqCode(t, program)
	if code == nil {
		t.Fatal("not a program")
	}
	in := unguardedInput(input)
	run := func(ctx context.Context) {
		if err, ok := first(code.RunWithContext(ctx, in).Next()).(error); ok {
			_ = err.Error()
		}
	}
	fmt.Println("\nready")
	ctx, cancel := context.WithTimeout(t.Context(), patience(input))
	defer cancel()
	if input == "shared" { // runs at once over one value
		for range 8 {
			go func() {
				for ctx.Err() == nil {
					run(ctx)
				}
			}()
		}
		<-ctx.Done()
	} else {
		run(ctx)
	}
	fmt.Println("\nover")
}

func first(v any, _ bool) any { return v }
