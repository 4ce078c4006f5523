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

// testCase is a line of a file of cases: a test, and what is to be true of it.
type testCase struct {
	Name    string `json:"name"`
	API     string `json:"api"`
	Answer  string `json:"answer"`  // jq predicate on the answer, with $status
	Outcome string `json:"outcome"` // a word, or a jq predicate on the word
	adminapi.Test
}

// maxCase is how long a line may be.
const maxCase = 1 << 20

func cases() *cobra.Command {
	var t tester
	cmd := &cobra.Command{
		Use:   "cases FILE",
		Short: "Makes the calls of a file of cases, and says which are not as they should be",
		Long: `Makes the calls of a file of cases, one JSON object a line:

  {"name":"a VIP","api":"order","params":{"tel":"13800138000"},"outcome":"ok","answer":".vip == \"1\""}

"answer" is a jq predicate on the answer, with $status; "outcome" is a word, or a jq
predicate on it, such as "IN(\"ok\", \"stale\")". All that test knows can stand
beside them: method, path, headers, vars, dry_run, no_cache, fresh_token, live.
Blank lines, and lines that begin with #, are skipped.

The exit status is 1 when a case is not as it should be.`,
		Args: cobra.ExactArgs(1),
	}
	t.bind(cmd)
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
		return fmt.Errorf("%d of %d cases are not as they should be", failed, ran)
	case ran == 0:
		return errors.New("there are no cases in it")
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
		return nil, errors.New(`a case says what is to be true: write "outcome" or "answer"`)
	}
	if c.Name == "" {
		c.Name = c.API
	}
	params, err := switchboard.ParseTest([]byte(line)) // with numbers as they are written
	if err != nil {
		return nil, err
	}
	c.Params = params.Params
	return c, nil
}

// judge says what of a call is not as it should be.
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
