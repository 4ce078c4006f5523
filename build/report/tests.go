package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// event is one line of "go test -json"; see "go doc test2json".
type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64
	Output  string
}

// tests is what a run came to. Names are a package's and a test's.
type tests struct {
	out      io.Writer
	short    func(pkg string) string
	open     map[string]*running // by package
	passed   int
	packages int
	failed   []string
	skipped  []string
}

// running is a package that has not ended yet.
type running struct {
	output        map[string][]string // of each test that has not ended; "" is the package
	tests, failed int
}

// watch prints a line per package and the output of what failed, as it comes.
func watch(in io.Reader, out io.Writer, short func(string) string) (*tests, error) {
	all := &tests{out: out, short: short, open: map[string]*running{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		var e event
		switch {
		case line == "":
		case json.Unmarshal([]byte(line), &e) != nil:
			fmt.Fprint(out, line) // the go command itself
		case e.Action == "build-output":
			fmt.Fprint(out, e.Output)
		case e.Package == "":
		case e.Test != "":
			all.test(e)
		default:
			all.pkg(e)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(all.open)) {
		all.failed = append(all.failed, short(pkg)+": cut short")
	}
	fmt.Fprintf(out, "\n%d packages: %d tests passed, %d failed, %d skipped\n",
		all.packages, all.passed, len(all.failed), len(all.skipped))
	for _, name := range all.failed {
		fmt.Fprintln(out, "FAIL", name)
	}
	for _, name := range all.skipped {
		fmt.Fprintln(out, "SKIP", name)
	}
	return all, nil
}

func (all *tests) running(pkg string) *running {
	if all.open[pkg] == nil {
		all.open[pkg] = &running{output: map[string][]string{}}
	}
	return all.open[pkg]
}

func (all *tests) test(e event) {
	p := all.running(e.Package)
	name := all.short(e.Package) + " " + e.Test
	said := p.output[e.Test]
	switch e.Action {
	case "run":
		p.output[e.Test] = nil
		return
	case "output":
		if !strings.HasPrefix(e.Output, "=== ") {
			p.output[e.Test] = append(said, e.Output)
		}
		return
	case "pass":
		all.passed++
	case "fail":
		all.failed = append(all.failed, name)
		p.failed++
		fmt.Fprint(all.out, strings.Join(said, ""))
	case "skip":
		all.skipped = append(all.skipped, name+": "+reason(said))
	default:
		return
	}
	p.tests++
	delete(p.output, e.Test)
}

func (all *tests) pkg(e event) {
	p := all.running(e.Package)
	name := all.short(e.Package)
	switch e.Action {
	case "output":
		if worthReading(e.Output) {
			p.output[""] = append(p.output[""], e.Output)
		}
		return
	case "pass", "skip":
	case "fail":
		fmt.Fprint(all.out, strings.Join(p.output[""], ""))
		delete(p.output, "")
		// A test that has not ended is where the package hung or broke off.
		for _, test := range slices.Sorted(maps.Keys(p.output)) {
			fmt.Fprint(all.out, strings.Join(p.output[test], ""))
			all.failed = append(all.failed, name+" "+test+": did not end")
			p.failed++
		}
		if p.failed == 0 {
			all.failed = append(all.failed, name)
		}
	default:
		return
	}
	delete(all.open, e.Package)
	if p.tests > 0 || e.Action == "fail" {
		all.packages++
		fmt.Fprintf(all.out, "%-4s %-40s %4d tests %7.1fs\n", e.Action, name, p.tests, e.Elapsed)
	}
}

// verdict is nil for a good run.
func (all *tests) verdict(strict bool) error {
	var reasons []error
	if n := len(all.failed); n > 0 {
		reasons = append(reasons, fmt.Errorf("%d failed", n))
	}
	if all.passed == 0 {
		reasons = append(reasons, errors.New("no test passed"))
	}
	if n := len(all.skipped); strict && n > 0 {
		reasons = append(reasons, fmt.Errorf("%d skipped, and nothing may be", n))
	}
	return errors.Join(reasons...)
}

// worthReading leaves out what the report says itself.
func worthReading(line string) bool {
	summary := line == "FAIL\n" || line == "PASS\n" || strings.HasPrefix(line, "coverage: ") ||
		strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "?   \t")
	return !summary
}

// reason is what a skipped test said, on one line.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		if !strings.Contains(line, "--- SKIP") {
			said = append(said, strings.TrimSpace(line))
		}
	}
	return strings.Join(said, " ")
}
