package console_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

var (
	aWord        = regexp.MustCompile(`(?m)^\t(?:'([^']+)'|(\w+)): '(.*)',$`)
	aPlaceholder = regexp.MustCompile(`\{\d\}`)
	aUse         = regexp.MustCompile(`\bt\('([^']+)'`)
)

// words are the texts of a language, by key.
func words(t *testing.T, language string) (keys []string, texts map[string]string) {
	t.Helper()
	source, _, _ := strings.Cut(readPage(t, "words_"+language+".js"), "export const said")
	texts = make(map[string]string)
	for _, m := range aWord.FindAllStringSubmatch(source, -1) {
		key := m[1] + m[2]
		if _, twice := texts[key]; twice {
			t.Errorf("%s: %q is there twice", language, key)
		}
		keys = append(keys, key)
		texts[key] = m[3]
	}
	if lines := strings.Count(source, ": '"); lines != len(keys) {
		t.Fatalf("%s: %d texts in %d lines: this test doesn't read them all", language, len(keys), lines)
	}
	return keys, texts
}

func readPage(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("page", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// outcomes are all that package call has: their values, by the names of the constants.
func outcomes(t *testing.T) map[string]call.Outcome {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "internal", "call", "call.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]call.Outcome)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		kind, _ := spec.Type.(*ast.Ident)
		value, _ := spec.Values[0].(*ast.BasicLit)
		if kind != nil && kind.Name == "Outcome" && value != nil {
			text, err := strconv.Unquote(value.Value)
			if err != nil {
				t.Fatal(err)
			}
			all[spec.Names[0].Name] = call.Outcome(text)
		}
		return true
	})
	if len(all) < 15 {
		t.Fatalf("only %d outcomes found", len(all))
	}
	return all
}

// Both languages have the same texts, with the same values in them, and the page uses
// none that isn't there.
func TestWordsInBothLanguages(t *testing.T) {
	keys, english := words(t, "en")
	other, chinese := words(t, "zh")
	for _, key := range keys {
		if !slices.Contains(other, key) {
			t.Errorf("%q is missing in Chinese", key)
			continue
		}
		was, is := aPlaceholder.FindAllString(english[key], -1), aPlaceholder.FindAllString(chinese[key], -1)
		slices.Sort(was)
		slices.Sort(is)
		if !slices.Equal(was, is) {
			t.Errorf("%q has the values %v in English, %v in Chinese", key, was, is)
		}
	}
	for _, key := range other {
		if !slices.Contains(keys, key) {
			t.Errorf("%q is missing in English", key)
		}
	}
	scripts, err := filepath.Glob("page/*.js")
	if err != nil {
		t.Fatal(err)
	}
	uses := 0
	for _, path := range scripts {
		for _, m := range aUse.FindAllStringSubmatch(readPage(t, filepath.Base(path)), -1) {
			uses++
			if _, ok := english[m[1]]; !ok && !strings.HasSuffix(m[1], " ") {
				t.Errorf("%s: there is no text %q", path, m[1])
			}
		}
	}
	if uses < 100 {
		t.Errorf("only %d uses found", uses)
	}
}

// Every outcome has a word in both languages and a group in the charts: none shows as a
// bare code, and none is left out of the charts or of the share of real answers.
func TestWordsOfOutcomes(t *testing.T) {
	_, english := words(t, "en")
	_, chinese := words(t, "zh")
	groups, _, _ := strings.Cut(readPage(t, "outcome.js"), "};")
	for name, outcome := range outcomes(t) {
		for language, texts := range map[string]map[string]string{"English": english, "Chinese": chinese} {
			if texts["o "+string(outcome)] == "" {
				t.Errorf("%s has no word in %s", name, language)
			}
		}
		if n := strings.Count(groups, "'"+string(outcome)+"'"); n != 1 && outcome != call.DryRun {
			t.Errorf("%s is in %d groups", name, n)
		}
		if caller := regexp.MustCompile(`caller: \[[^\]]*'` + string(outcome) + `'`).MatchString(groups); caller != outcome.CausedByCaller() && outcome != call.DryRun {
			t.Errorf("%s is caused by the caller: %v, but the page says %v", name, outcome.CausedByCaller(), caller)
		}
	}
	for _, step := range []string{"receive", "require", "cache", "chain", "once", "token", "request", "call", "verdict", "replay", "output", "contract", "answer"} {
		if english["step "+step] == "" || chinese["step "+step] == "" {
			t.Errorf("step %s has no word", step)
		}
	}
}

var (
	aSaid   = regexp.MustCompile(`(?m)^\t(?:'((?:[^'\\]|\\.)+)'|"([^"]+)"): '.*',$`)
	aFormat = regexp.MustCompile(`%[a-z]`)
	aBlank  = regexp.MustCompile(`\\\{\d\\\}`)
)

// What the server says of calls, why they ended so and what to check, is in the Chinese
// page's table: a text that is new or reworded would show in English there.
func TestReasonsInChinese(t *testing.T) {
	_, table, _ := strings.Cut(readPage(t, "words_zh.js"), "export const said")
	var known []*regexp.Regexp
	for _, m := range aSaid.FindAllStringSubmatch(table, -1) {
		english := regexp.QuoteMeta(strings.ReplaceAll(m[1], `\'`, `'`) + m[2])
		if english := aBlank.ReplaceAllString(english, ".+"); !strings.HasPrefix(english, ".+; ") { // that is for parts
			known = append(known, regexp.MustCompile("(?s)^"+english+"$"))
		}
	}
	if len(known) < 80 {
		t.Fatalf("only %d texts found", len(known))
	}
	texts := 0
	for _, pattern := range []string{"api", "endpoint", "lookup"} {
		paths, err := filepath.Glob(filepath.Join("..", pattern, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			for _, text := range reasonsIn(t, path) {
				texts++
				if !slices.ContainsFunc(known, func(k *regexp.Regexp) bool { return k.MatchString(text) }) {
					t.Errorf("%s: words_zh.js has no line for %q", path, text)
				}
			}
		}
	}
	if texts < 40 {
		t.Errorf("only %d texts found in the handlers", texts)
	}
}

// reasonsIn returns the texts in a Go file that say why a call ended: those given to Fail and
// Refuse, and returned with an outcome; and those of checks. x stands for what is
// filled in.
func reasonsIn(t *testing.T, path string) (texts []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	add := func(e ast.Expr) {
		if text := textOf(e); strings.Contains(text, " ") && strings.Trim(text, "x ") != "" {
			texts = append(texts, text)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) > 1 && (f.Sel.Name == "Fail" || f.Sel.Name == "Refuse") {
				add(n.Args[len(n.Args)-1])
			}
		case *ast.ReturnStmt:
			if len(n.Results) == 2 && isOutcome(n.Results[0]) {
				add(n.Results[1])
			}
		case *ast.KeyValueExpr:
			if text := textOf(n.Value); isOutcome(n.Key) && !strings.HasPrefix(text, " ") && !strings.HasPrefix(text, "'") { // else it is for callers, behind a subject
				add(n.Value)
			}
		case *ast.ValueSpec:
			if strings.HasPrefix(n.Names[0].Name, "Check") && len(n.Values) == 1 {
				add(n.Values[0])
			}
		case *ast.FuncDecl:
			if n.Name.Name != "Check" {
				return true
			}
			ast.Inspect(n, func(n ast.Node) bool {
				if back, ok := n.(*ast.ReturnStmt); ok {
					add(back.Results[0])
				}
				return true
			})
		}
		return true
	})
	return texts
}

func isOutcome(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	of, ok := s.X.(*ast.Ident)
	return ok && of.Name == "call"
}

// textOf is what an expression gives, with x for what isn't fixed.
func textOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil {
			return text
		}
	case *ast.BinaryExpr:
		return textOf(e.X) + textOf(e.Y)
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok {
			switch f.Sel.Name {
			case "Sprintf":
				return aFormat.ReplaceAllString(textOf(e.Args[0]), "x")
			case "withNotes", "Or":
				return textOf(e.Args[len(e.Args)-1])
			}
		}
	}
	return "x"
}
