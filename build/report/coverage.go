package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// coverage holds each block of each file, as in a cover profile: the number of
// its statements, and whether any test ran it.
type coverage map[string]block

type block struct {
	statements int
	ran        bool
}

// read adds a profile. The same block comes once from every test binary that
// links it, and counts once.
func (c coverage) read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "mode:") {
			continue
		}
		// name.go:line.column,line.column statements count
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return fmt.Errorf("%s: not a line of a cover profile: %q", name, line)
		}
		statements, err := strconv.Atoi(fields[1])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		c[fields[0]] = block{statements, c[fields[0]].ran || fields[2] != "0"}
	}
	return lines.Err()
}

// share is how much of a folder was run.
type share struct{ ran, all int }

func (s *share) percent() float64 { return 100 * float64(s.ran) / float64(s.all) }

func (s *share) add(b block) {
	s.all += b.statements
	if b.ran {
		s.ran += b.statements
	}
}

// judge prints the coverage of each top folder and, of those that are below
// least, each package that is too. Only the gated folders must reach it.
func (c coverage) judge(out io.Writer, short func(string) string, gate []string, least float64) error {
	folders, packages := map[string]*share{}, map[string]*share{}
	for place, b := range c {
		file, _, _ := strings.Cut(place, ":")
		pkg := short(path.Dir(file))
		top, _, _ := strings.Cut(pkg, "/")
		for _, into := range []struct {
			shares map[string]*share
			key    string
		}{{folders, top}, {packages, pkg}} {
			if into.shares[into.key] == nil {
				into.shares[into.key] = new(share)
			}
			into.shares[into.key].add(b)
		}
	}

	fmt.Fprintf(out, "\ncoverage of statements:\n")
	for _, name := range names(folders) {
		note := ""
		if slices.Contains(gate, name) {
			note = fmt.Sprintf("   at least %g %%", least)
		}
		fmt.Fprintf(out, "  %-40s %5.1f %%%s\n", name, folders[name].percent(), note)
		for _, pkg := range names(packages) {
			if (pkg == name || strings.HasPrefix(pkg, name+"/")) && packages[pkg].percent() < least {
				fmt.Fprintf(out, "    %-38s %5.1f %%\n", pkg, packages[pkg].percent())
			}
		}
	}

	var low []string
	for _, name := range gate {
		switch s := folders[name]; {
		case s == nil:
			low = append(low, name+" not measured")
		case s.percent() < least:
			low = append(low, fmt.Sprintf("%s %.1f %%", name, s.percent()))
		}
	}
	if len(low) > 0 {
		return fmt.Errorf("coverage below %g %%: %s", least, strings.Join(low, ", "))
	}
	return nil
}

// names lists the folders that hold statements at all.
func names(shares map[string]*share) []string {
	var list []string
	for name, s := range shares {
		if s.all > 0 {
			list = append(list, name)
		}
	}
	slices.SortFunc(list, cmp.Compare)
	return list
}
