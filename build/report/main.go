// The report command turns "go test -json" into something to read, and decides
// whether the run was good: nothing failed, nothing was cut short, enough of
// the code was covered and, where that is asked for, nothing was skipped.
//
//	go test -json -coverprofile=unit.out ./... | report -strict -profile unit.out -gate internal,module -min 90
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	err := run(os.Args[1:], os.Stdin, os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "not good:", err)
		os.Exit(1)
	}
}

// run is the command without its process. The error names every reason.
func run(args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	root := flags.String("root", "", "the module path, left out of what is printed")
	strict := flags.Bool("strict", false, "a skipped test is a failure")
	profiles := flags.String("profile", "", "cover profiles, separated by commas")
	gate := flags.String("gate", "", "folders that must be covered, separated by commas")
	least := flags.Float64("min", 90, "the percentage of statements that gated folders need")
	if err := flags.Parse(args); err != nil {
		return err
	}
	short := func(pkg string) string {
		if pkg == *root {
			return "."
		}
		return strings.TrimPrefix(pkg, *root+"/")
	}

	tests, err := watch(stdin, stdout, short)
	if err != nil {
		return err
	}
	reasons := []error{tests.verdict(*strict)}

	if *profiles != "" {
		covered := coverage{}
		for name := range strings.SplitSeq(*profiles, ",") {
			if err := covered.read(name); err != nil {
				return errors.Join(append(reasons, err)...)
			}
		}
		reasons = append(reasons, covered.judge(stdout, short, split(*gate), *least))
	}
	return errors.Join(reasons...)
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}
