package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The streams are what "go test -json" of Go 1.26 prints, shortened.
const (
	good = `{"Action":"start","Package":"example.com/m/internal/a"}
{"Action":"run","Package":"example.com/m/internal/a","Test":"TestOK"}
{"Action":"output","Package":"example.com/m/internal/a","Test":"TestOK","Output":"=== RUN   TestOK\n"}
{"Action":"output","Package":"example.com/m/internal/a","Test":"TestOK","Output":"    a_test.go:3: chatter\n"}
{"Action":"pass","Package":"example.com/m/internal/a","Test":"TestOK","Elapsed":0}
{"Action":"output","Package":"example.com/m/internal/a","Output":"PASS\n"}
{"Action":"output","Package":"example.com/m/internal/a","Output":"ok  \texample.com/m/internal/a\t0.005s\n"}
{"Action":"pass","Package":"example.com/m/internal/a","Elapsed":0.006}
{"Action":"start","Package":"example.com/m/internal/none"}
{"Action":"output","Package":"example.com/m/internal/none","Output":"?   \texample.com/m/internal/none\t[no test files]\n"}
{"Action":"skip","Package":"example.com/m/internal/none","Elapsed":0}
`
	failing = `{"Action":"run","Package":"example.com/m/b","Test":"TestX"}
{"Action":"run","Package":"example.com/m/b","Test":"TestX/sub"}
{"Action":"output","Package":"example.com/m/b","Test":"TestX/sub","Output":"    b_test.go:4: bad thing\n"}
{"Action":"fail","Package":"example.com/m/b","Test":"TestX/sub","Elapsed":0}
{"Action":"fail","Package":"example.com/m/b","Test":"TestX","Elapsed":0}
{"Action":"fail","Package":"example.com/m/b","Elapsed":0.1}
`
	skipping = `{"Action":"run","Package":"example.com/m/c","Test":"TestY"}
{"Action":"output","Package":"example.com/m/c","Test":"TestY","Output":"    c_test.go:5: no server\n"}
{"Action":"output","Package":"example.com/m/c","Test":"TestY","Output":"--- SKIP: TestY (0.00s)\n"}
{"Action":"skip","Package":"example.com/m/c","Test":"TestY","Elapsed":0}
{"Action":"pass","Package":"example.com/m/c","Elapsed":0.1}
`
	hanging = `{"Action":"run","Package":"example.com/m/d","Test":"TestHang"}
{"Action":"output","Package":"example.com/m/d","Test":"TestHang","Output":"panic: test timed out after 2s\n"}
{"Action":"output","Package":"example.com/m/d","Output":"FAIL\texample.com/m/d\t2.006s\n"}
{"Action":"fail","Package":"example.com/m/d","Elapsed":2.006}
`
	unbuilt = `{"ImportPath":"example.com/m/e [example.com/m/e.test]","Action":"build-output","Output":"e/e_test.go:3:30: undefined: x\n"}
{"ImportPath":"example.com/m/e [example.com/m/e.test]","Action":"build-fail"}
{"Action":"start","Package":"example.com/m/e"}
{"Action":"output","Package":"example.com/m/e","Output":"FAIL\texample.com/m/e [build failed]\n"}
{"Action":"fail","Package":"example.com/m/e","Elapsed":0,"FailedBuild":"example.com/m/e [example.com/m/e.test]"}
`
	cut = `{"Action":"run","Package":"example.com/m/f","Test":"TestZ"}
{"Action":"pass","Package":"example.com/m/f","Test":"TestZ"}
`
)

func TestVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		stream string
		strict bool
		shows  []string // in this order
		hides  string
		reason string // "" is a good run
	}{
		"good":               {good, true, []string{"pass internal/a", "1 tests", "1 packages: 1 tests passed, 0 failed, 0 skipped"}, "chatter", ""},
		"failed":             {good + failing, false, []string{"bad thing", "fail b", "FAIL b TestX/sub\n", "FAIL b TestX\n"}, "chatter", "2 failed"},
		"skipped":            {good + skipping, false, []string{"1 skipped", "SKIP c TestY: c_test.go:5: no server\n"}, "--- SKIP", ""},
		"skipped and strict": {good + skipping, true, []string{"SKIP c TestY: c_test.go:5: no server\n"}, "FAIL", "1 skipped, and nothing may be"},
		"timed out":          {good + hanging, false, []string{"panic: test timed out", "FAIL d TestHang: did not end\n"}, "chatter", "1 failed"},
		"not built":          {good + unbuilt, false, []string{"e_test.go:3:30: undefined: x", "[build failed]", "FAIL e\n"}, "chatter", "1 failed"},
		"cut short":          {good + cut, false, []string{"FAIL f: cut short\n"}, "chatter", "1 failed"},
		"the root":           {strings.ReplaceAll(good+failing, "example.com/m/b", "example.com/m"), false, []string{"fail . ", "FAIL . TestX\n"}, "chatter", "2 failed"},
		"nothing ran":        {"", false, []string{"0 packages"}, "FAIL", "no test passed"},
		"not JSON":           {"go: updates to go.mod needed\n" + good, false, []string{"updates to go.mod needed"}, "FAIL", ""},
		"last line unended":  {strings.TrimSuffix(good, "\n"), true, []string{"1 packages"}, "FAIL", ""},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"-root", "example.com/m"}
			if c.strict {
				args = append(args, "-strict")
			}
			var out bytes.Buffer
			err := run(args, strings.NewReader(c.stream), &out)
			if c.reason == "" && err != nil || c.reason != "" && (err == nil || !strings.Contains(err.Error(), c.reason)) {
				t.Errorf("verdict %v, want %q", err, c.reason)
			}
			rest := out.String()
			for _, want := range c.shows {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("%q is not shown, or not in order:\n%s", want, out.String())
				}
				rest = after
			}
			if strings.Contains(out.String(), c.hides) {
				t.Errorf("%q is shown:\n%s", c.hides, out.String())
			}
		})
	}
}

// Two binaries report on the same block; what either ran is covered. A gated
// folder that is absent from the profiles is not covered at all.
func TestCoverage(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	one := write("one.out", `mode: atomic
example.com/m/internal/a/a.go:2.19,2.28 8 0
example.com/m/internal/a/a.go:3.19,3.28 2 0
example.com/m/internal/b/b.go:1.1,2.2 10 5
example.com/m/handlers/h.go:1.1,2.2 4 0
`)
	two := write("two.out", `mode: atomic
example.com/m/internal/a/a.go:2.19,2.28 8 1
example.com/m/internal/a/a.go:3.19,3.28 2 0
`)
	bad := write("bad.out", "mode: atomic\nnot a profile at all\n")
	odd := write("odd.out", "mode: atomic\na/b.go:1.1,2.2 many 1\n")

	for name, c := range map[string]struct {
		args   []string
		shows  string
		reason string
	}{
		"one profile": {
			[]string{"-profile", one, "-gate", "internal", "-min", "90"},
			"internal                                  50.0 %   at least 90 %\n    internal/a ", "coverage below 90 %: internal 50.0 %",
		},
		"both profiles": {
			[]string{"-profile", one + "," + two, "-gate", "internal", "-min", "90"},
			"internal                                  90.0 %   at least 90 %\n    internal/a                              80.0 %\n", "",
		},
		"not gated":    {[]string{"-profile", one, "-gate", ""}, "handlers                                   0.0 %\n", ""},
		"not measured": {[]string{"-profile", two, "-gate", "module", "-min", "1"}, "internal", "module not measured"},
		"no profile":   {[]string{"-profile", filepath.Join(dir, "absent.out")}, "", "absent.out"},
		"bad profile":  {[]string{"-profile", bad}, "", `not a line of a cover profile: "not a profile at all"`},
		"odd profile":  {[]string{"-profile", odd}, "", `"many"`},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(append([]string{"-root", "example.com/m"}, c.args...), strings.NewReader(good), &out)
			if c.reason == "" && err != nil || c.reason != "" && (err == nil || !strings.Contains(err.Error(), c.reason)) {
				t.Errorf("verdict %v, want %q", err, c.reason)
			}
			if !strings.Contains(out.String(), c.shows) {
				t.Errorf("%q is not shown:\n%s", c.shows, out.String())
			}
		})
	}

	// A profile that can't be read does not hide what failed.
	err := run([]string{"-profile", bad}, strings.NewReader(failing), new(bytes.Buffer))
	if err == nil || !strings.Contains(err.Error(), "2 failed") {
		t.Errorf("verdict %v", err)
	}
	if err := run([]string{"-unknown"}, strings.NewReader(good), new(bytes.Buffer)); err == nil || errors.Is(err, flag.ErrHelp) {
		t.Errorf("an unknown flag gave %v", err)
	}
}
