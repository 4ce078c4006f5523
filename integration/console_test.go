package integration

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// step is a command of a document's console block, and what it prints there.
type step struct {
	block         int
	command, want string
}

// steps finds the commands of a document. A line that begins with `$ ` is one,
// and what stands below it is its output.
func steps(document string) (all []step) {
	for i, block := range strings.Split(document, "```console\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(block) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				all = append(all, step{block: i + 1, command: strings.TrimSuffix(command, "\n")})
			} else if len(all) > 0 {
				all[len(all)-1].want += line
			}
		}
	}
	return all
}

// runConsole runs a document's commands one after the other in one shell, as a
// reader does, and compares each output to the letter. … stands for what is
// different each time. Every curl is silent.
func runConsole(t *testing.T, dir, document string) {
	t.Helper()
	const mark = "\x1e"
	all := steps(document)
	if len(all) < 10 {
		t.Fatalf("only %d commands were found", len(all))
	}
	var script strings.Builder
	script.WriteString("curl() { command curl -s \"$@\"; }\n")
	for _, s := range all {
		fmt.Fprintf(&script, "%s\nprintf '\\036%%d\\036' $?\n", s.command)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash")
	shell.Dir, shell.Stdin = dir, strings.NewReader(script.String())
	errs := new(strings.Builder)
	shell.Stderr = errs
	out, err := shell.Output()
	if err != nil || errs.Len() > 0 {
		t.Errorf("%v\n%s", err, errs)
	}
	said := strings.Split(string(out), mark)
	for i, s := range all {
		if 2*i+1 >= len(said) {
			t.Fatalf("block %d: %s: the shell ended", s.block, s.command)
		}
		got, status := strings.TrimSpace(said[2*i]), said[2*i+1]
		if want := strings.TrimSpace(s.want); status != "0" || !pattern(want).MatchString(got) {
			t.Errorf("block %d: %s\ngot (status %s)\n%s\nwant\n%s", s.block, s.command, status, got, want)
		}
	}
}

func pattern(want string) *regexp.Regexp {
	return regexp.MustCompile("(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".+") + "$")
}
