package command

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// testCase is a line of a file of cases: a test and its expected result.
type testCase struct {
	Name    string `json:"name"`
	API     string `json:"api"`
	Answer  string `json:"answer"`  // jq predicate on the answer, with $status
	Outcome string `json:"outcome"` // an outcome, or a jq predicate on the outcome
	adminapi.Test
}

// maxCase is the maximum length of a line.
const maxCase = 1 << 20

func cases() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cases FILE",
		Short: "Runs the test cases in a file, and reports those that fail",
		Long: `Runs the test cases in a file, one JSON object per line:

  {"name":"a VIP","api":"order","params":{"tel":"13800138000"},"outcome":"ok","answer":".vip == \"1\""}

"answer" is a jq predicate on the answer, with $status; "outcome" is an outcome, or a
jq predicate on it, e.g. "IN(\"ok\", \"stale\")". The options of test may be given,
too: method, path, headers, vars, dry_run, no_cache, fresh_token, live. Blank lines,
and lines that begin with #, are skipped.

The exit status is 1 if a case failed.`,
		Args: cobra.ExactArgs(1),
	}
	t := newTester(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in := cmd.InOrStdin()
		if args[0] != "-" {
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			in = file
		}
		do, err := t.calls()
		if err != nil {
			return err
		}
		ctx, stop := interruptible(cmd)
		defer stop()
		return runCases(ctx, in, cmd.OutOrStdout(), do)
	}
	return cmd
}

func runCases(ctx context.Context, in io.Reader, out io.Writer, do func(context.Context, string, adminapi.Test) (adminapi.Trace, error)) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxCase)
	ran, failed, paint := 0, 0, colors(out)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		c, err := parseCase(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		ran++
		trace, err := do(ctx, c.API, c.Test)
		if err == nil {
			err = c.judge(ctx, trace)
		}
		if err != nil {
			failed++
			fmt.Fprintf(out, "%s  line %d, %s: %v\n", paint.in(red, "FAIL"), n, c.Name, err)
			continue
		}
		fmt.Fprintf(out, "%s    line %d, %s: %s in %.1f ms\n", paint.in(green, "ok"), n, c.Name, trace.Outcome, trace.MS)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading cases: %w", err)
	}
	switch {
	case failed > 0:
		return fmt.Errorf("%d of %d cases failed", failed, ran)
	case ran == 0:
		return errors.New("the file has no cases")
	}
	return nil
}

func parseCase(line string) (*testCase, error) {
	c := new(testCase)
	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("not a case: %w", err)
	}
	if c.API == "" {
		return nil, errors.New(`"api" is missing`)
	}
	if c.Answer == "" && c.Outcome == "" {
		return nil, errors.New(`a case needs an expected result: "outcome" or "answer"`)
	}
	if c.Name == "" {
		c.Name = c.API
	}
	params, err := switchboard.ParseTest([]byte(line)) // numbers keep their spelling
	if err != nil {
		return nil, err
	}
	c.Params = params.Params
	return c, nil
}

// judge returns an error if a call doesn't have the expected result.
func (c *testCase) judge(ctx context.Context, t adminapi.Trace) error {
	if c.Outcome != "" && c.Outcome != t.Outcome {
		holds, err := predicate(ctx, c.Outcome, t.Outcome, 0)
		if err != nil || !holds {
			return fmt.Errorf("the outcome is %s, not %s; %s", t.Outcome, c.Outcome, t.Reason)
		}
	}
	if c.Answer == "" {
		return nil
	}
	var answer any
	if len(t.Answer) > 0 {
		var err error
		if answer, err = jsonval.Decode(t.Answer, jsonval.Limits{}); err != nil {
			return errors.New("the answer is not JSON")
		}
	}
	holds, err := predicate(ctx, c.Answer, answer, t.Status)
	switch {
	case err != nil:
		return err
	case !holds:
		return fmt.Errorf("%s is not true of %s", c.Answer, t.Answer)
	}
	return nil
}

func predicate(ctx context.Context, program string, of any, status int) (bool, error) {
	p, err := jq.Compile(program, jq.Spec{Vars: []string{"status"}, Want: jq.Predicate})
	if err != nil {
		return false, err
	}
	return p.Test(ctx, of, status)
}
