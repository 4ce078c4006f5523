package source

import (
	"crypto/fips140"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/switchboard-ivr/switchboard/internal/jq"
)

// The variables of programs, in the order in which their values are given. Those
// of a request are followed by the credentials and $url.
var (
	requestVars = []string{"timestamp", "nonce", "access_token", "refresh_token", "refused"}
	answerVars  = []string{"status", "headers"}
	ExpiredVars = []string{"status", "headers", "params", "request"}
)

// requestPrograms make one request to a token endpoint.
type requestPrograms struct {
	setting string // "obtain" or "refresh"
	method  string
	headers *jq.Program
	query   *jq.Program
	form    *jq.Program
	json    *jq.Program
}

// uses reports whether a program of the request mentions a variable.
func (r *requestPrograms) uses(variable string) bool {
	return slices.ContainsFunc(r.all(), func(p *jq.Program) bool { return p.Uses(variable) })
}

// all returns the programs that are written; r may be nil.
func (r *requestPrograms) all() []*jq.Program {
	if r == nil {
		return nil
	}
	return slices.DeleteFunc([]*jq.Program{r.headers, r.query, r.form, r.json}, func(p *jq.Program) bool { return p == nil })
}

// compile compiles every program that can run. A source without an endpoint
// leaves those of its dialect alone.
func (p *plan) compile() error {
	c := compiler{define: p.Define, dialect: p.dialect}
	c.compile("token_expired", p.expired.Program, jq.Predicate, ExpiredVars, &p.isExpired)
	var unused *jq.Program // the api handler compiles it with its own definitions
	c.compile("api_success", p.AnswerSuccess, jq.Predicate, ExpiredVars, &unused)
	if !p.hasEndpoint || c.err != nil {
		return c.err
	}
	if p.AccessToken == "" {
		return wrongf("dialect", "`none` does not say where the token is; write `access_token <jq>`, such as `.access_token`")
	}
	c.compile("success", p.Success, jq.Predicate, answerVars, &p.success)
	c.compile("access_token", p.AccessToken, jq.Any, answerVars, &p.accessToken)
	c.compile("refresh_token", p.RefreshToken, jq.Any, answerVars, &p.refreshToken)
	c.compile("expires_in", p.ExpiresIn, jq.Any, answerVars, &p.expiresIn)
	if p.Keep != nil {
		c.compile("keep", p.Keep.Program, jq.Object, answerVars, &p.keep)
	}
	vars, exchange := slices.Concat(requestVars, p.names), []string(nil)
	if p.Authorize != nil {
		exchange = consentVars
	}
	p.obtainCall = c.request("obtain", p.Obtain, slices.Concat(vars, exchange, []string{"url"}))
	p.refreshCall = c.request("refresh", p.Refresh, slices.Concat(vars, []string{"url"}))
	if p.Authorize != nil && c.err == nil {
		p.compileConsent(&c)
	}
	return c.err
}

// checkDefinitions compiles text, which may use the definitions before it, as if
// it were a program: so an error's line is one of text.
func checkDefinitions(text, before string) error {
	if text == "" {
		return nil
	}
	_, err := jq.Compile(text+"\n.", jq.Spec{Define: before})
	return wrong("define", err)
}

// compiler compiles the programs of a plan and stops at the first error.
type compiler struct {
	define  string
	dialect *Source
	err     error
}

func (c *compiler) request(setting string, r *Request, vars []string) *requestPrograms {
	if r == nil || c.err != nil {
		return nil
	}
	if err := r.check(); err != nil {
		c.err = wrong(setting, err)
		return nil
	}
	programs := &requestPrograms{setting: setting, method: r.Method}
	c.compile(setting+" headers", r.Headers, jq.Object, vars, &programs.headers)
	c.compile(setting+" query", r.Query, jq.Object, vars, &programs.query)
	c.compile(setting+" form", r.Form, jq.Object, vars, &programs.form)
	c.compile(setting+" json", r.JSON, jq.Object, vars, &programs.json)
	return programs
}

func (c *compiler) compile(setting, text string, want jq.Kind, vars []string, to **jq.Program) {
	if text == "" || c.err != nil {
		return
	}
	if fips140.Enforced() && weakHash.MatchString(c.define+text) {
		c.err = wrongf(setting, "md5 and sha1 are forbidden by GODEBUG=fips140=only; use sha256 where the API knows it, or run without that setting")
		return
	}
	compiled, err := jq.Compile(text, jq.Spec{Vars: vars, Want: want, Define: c.define})
	if err != nil {
		if missing := c.missing(text, vars); len(missing) > 0 {
			err = missingError(missing, vars, c.inherited(text))
		}
		c.err = wrong(setting, err)
		return
	}
	*to = compiled
}

// inherited reports whether a program is the dialect's.
func (c *compiler) inherited(text string) bool {
	return slices.ContainsFunc([]*Request{c.dialect.Obtain, c.dialect.Refresh}, func(r *Request) bool {
		return r != nil && slices.Contains([]string{r.Headers, r.Query, r.Form, r.JSON}, text)
	})
}

// weakHash finds the functions that FIPS 140 does not approve.
var weakHash = regexp.MustCompile(`\b(md5|sha1)\b`)

var variableInText = regexp.MustCompile(`\$[A-Za-z_][A-Za-z0-9_]*`)

// missing finds the variables without which text would compile. The compiler
// names only the first, and without telling it from other errors.
func (c *compiler) missing(text string, vars []string) []string {
	var unknown []string
	for _, name := range variableInText.FindAllString(text, -1) {
		if name = name[1:]; !slices.Contains(vars, name) && !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
	}
	compiles := func(extra []string) bool {
		_, err := jq.Compile(text, jq.Spec{Vars: slices.Concat(vars, extra), Define: c.define})
		return err == nil
	}
	if len(unknown) == 0 || !compiles(unknown) {
		return nil // something else is wrong, too
	}
	return slices.DeleteFunc(slices.Clone(unknown), func(name string) bool {
		without := slices.DeleteFunc(slices.Clone(unknown), func(other string) bool { return other == name })
		return compiles(without) // bound by the program itself
	})
}

// missingError names the lines to write for variables that are not known. What the
// dialect's own program needs is not optional.
func missingError(missing, vars []string, inherited bool) error {
	if name := missing[0]; slices.Contains(consentVars, name) {
		return fmt.Errorf("$%s is known only in the programs of `obtain`, and with `authorize URL`; write that line", name)
	}
	list := func(names []string, before string) string {
		return before + strings.Join(names, ", "+before)
	}
	canAdd := slices.Contains(vars, requestVars[0]) && !slices.ContainsFunc(missing, func(name string) bool {
		return slices.Contains(reserved, name)
	})
	is := "is"
	if len(missing) > 1 {
		is = "are"
	}
	if !canAdd {
		return fmt.Errorf("%s %s not known here; the variables are %s", list(missing, "$"), is, list(vars, "$"))
	}
	lines := make([]string, len(missing))
	for i, name := range missing {
		lines[i] = "`credential " + name + " VALUE`"
	}
	text := fmt.Sprintf("%s %s not given; write %s", list(missing, "$"), is, strings.Join(lines, " and "))
	if !inherited {
		text += ", or `optional " + strings.Join(missing, " ") + "` where the API can do without"
	}
	return errors.New(text)
}
