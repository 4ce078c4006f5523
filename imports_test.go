package switchboard_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	self      = "github.com/switchboard-ivr/switchboard"
	caddy     = "github.com/caddyserver/"
	ristretto = "github.com/dgraph-io/ristretto"
)

// listed is what "go list -json" says of a package.
type listed struct {
	ImportPath                string
	Dir                       string
	Imports                   []string // its own
	Deps                      []string // and what they import in turn
	TestGoFiles, XTestGoFiles []string
	TestImports, XTestImports []string
	Module                    *struct{ Path string }
}

// Imports go one way: plugin, handlers, module, internal. What a leaf imports
// must not bring Caddy in through others either.
func TestImportsGoOneWay(t *testing.T) {
	packages := list(t)
	for _, p := range packages {
		if !ours(p.ImportPath) {
			continue
		}
		for _, rule := range []struct {
			layer   string
			forbids []string
			deep    bool // also through others
			because string
		}{
			{"internal", []string{caddy}, true, "a leaf knows nothing of Caddy"},
			{"internal", []string{self + "/module", self + "/handlers"}, false, "imports go down"},
			{"module", []string{self + "/handlers"}, false, "imports go down"},
			{"module/token", []string{ristretto}, true, "a token in an evicting cache can vanish"},
			{"internal", []string{self + "/integration"}, false, "only tests use the test API"},
			{"module", []string{self + "/integration"}, false, "only tests use the test API"},
			{"handlers", []string{self + "/integration"}, false, "only tests use the test API"},
			{"internal", []string{self + "$"}, false, "the root only links"},
			{"module", []string{self + "$"}, false, "the root only links"},
			{"handlers", []string{self + "$"}, false, "the root only links"},
		} {
			if !within(p.ImportPath, self+"/"+rule.layer) {
				continue
			}
			imports := p.Imports
			if rule.deep {
				imports = p.Deps
			}
			for _, path := range imports {
				for _, forbidden := range rule.forbids {
					if matches(path, forbidden) {
						t.Errorf("%s imports %s: %s", p.ImportPath, path, rule.because)
					}
				}
			}
		}
	}
}

// A leaf is about one thing: at most one library beside Go's own.
func TestLeavesHaveOneLibrary(t *testing.T) {
	packages := list(t)
	moduleOf := map[string]string{}
	for _, p := range packages {
		if p.Module != nil {
			moduleOf[p.ImportPath] = p.Module.Path
		}
	}
	leaves := 0
	for _, p := range packages {
		if !within(p.ImportPath, self+"/internal") {
			continue
		}
		leaves++
		var libraries []string
		for _, path := range p.Imports {
			// golang.org/x is Go's own, in all but name.
			if m := moduleOf[path]; m != "" && m != self && !strings.HasPrefix(m, "golang.org/x/") && !slices.Contains(libraries, m) {
				libraries = append(libraries, m)
			}
		}
		if len(libraries) > 1 {
			t.Errorf("%s needs %s", p.ImportPath, strings.Join(libraries, " and "))
		}
	}
	if leaves == 0 {
		t.Error("no package of internal/ was listed")
	}
}

// A test that waits in real time is slow on one machine and fails on another.
// Within testing/synctest time is fake, so in packages that test with it Sleep
// is fine.
func TestNoTestSleeps(t *testing.T) {
	tests := 0
	for _, p := range list(t) {
		if !ours(p.ImportPath) {
			continue
		}
		fake := slices.Contains(slices.Concat(p.TestImports, p.XTestImports), "testing/synctest")
		for _, name := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
			tests++
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if !fake && sleeps(file) {
				t.Errorf("%s/%s sleeps: wait for a signal, or use testing/synctest", p.ImportPath, name)
			}
		}
	}
	if tests == 0 {
		t.Error("no test file was listed")
	}
}

func sleeps(file *ast.File) (found bool) {
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
				found = true
			}
		}
		return !found
	})
	return found
}

// The root is what xcaddy.json names and Caddy's download page lists: nothing
// but links, to Caddy modules of this repository.
func TestRootOnlyLinks(t *testing.T) {
	for _, p := range list(t) {
		if p.ImportPath != self {
			continue
		}
		for _, path := range p.Imports {
			if !within(path, self+"/module") && !within(path, self+"/handlers") {
				t.Errorf("the root imports %s", path)
			}
		}
		return
	}
	t.Error("the root package was not listed")
}

// list describes every package of the module and all that they depend on, as
// the binary is built: Caddy's own CA would bring ristretto with it otherwise.
func list(t *testing.T) []listed {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags=nobadger,nomysql,nopgx",
		"-json=ImportPath,Dir,Imports,Deps,TestGoFiles,XTestGoFiles,TestImports,XTestImports,Module", "./...").Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("%v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var packages []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func ours(path string) bool { return within(path, self) }

// within tells whether the package is that of the folder, or below it.
func within(path, folder string) bool {
	folder = strings.TrimSuffix(folder, "/")
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// matches tells whether a package is forbidden: by the beginning of its path
// or, where that ends in "$", by all of it.
func matches(path, forbidden string) bool {
	if exact, ok := strings.CutSuffix(forbidden, "$"); ok {
		return path == exact
	}
	return strings.HasPrefix(path, forbidden)
}
