package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/document"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/token/source"
)

// Defaults of an API.
const (
	defaultBudget      = 2 * time.Second
	defaultMaxSize     = 1 << 20
	defaultStatusField = "_status"
)

// Provision compiles the programs, resolves the keys and builds the chain. It
// makes no requests.
func (a *API) Provision(ctx caddy.Context) error {
	if err := a.provision(ctx); err != nil {
		if a.Name == "" {
			return err
		}
		return fmt.Errorf("api %s: %w", a.Name, err)
	}
	return nil
}

func (a *API) provision(ctx caddy.Context) error {
	asWritten, err := json.Marshal(a) // before handlers are loaded and defaults set
	if err != nil {
		return err
	}
	loaded, err := ctx.App("switchboard")
	if err != nil {
		return err
	}
	app := loaded.(*switchboard.App)
	a.server, _ = ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if a.target, err = a.parseTarget(); err != nil {
		return err
	}
	if _, err := a.checkTarget(); err != nil {
		return err
	}
	a.setDefaults()
	if len(a.With) > 0 {
		a.links = &links{app: app}
	}
	if a.Token != "" {
		if a.source, err = app.Token(a.Token); err != nil {
			return err
		}
	}
	if err := a.check(); err != nil {
		return err
	}
	if a.route, err = a.New(ctx, app, a.Name, endpoint.Defaults{
		Subject: "the API", Budget: defaultBudget, StatusField: defaultStatusField, HasDefault: a.Default != "",
	}); err != nil {
		return err
	}
	if err := a.provisionPrograms(app.Define); err != nil {
		return err
	}
	if err := a.provisionContract(ctx); err != nil {
		return err
	}
	if err := a.provisionChain(ctx); err != nil {
		return err
	}
	if err := a.provisionCache(app, a.identify(app, asWritten)); err != nil {
		return err
	}
	if err := a.provisionOnce(ctx, app.Define); err != nil {
		return err
	}
	if err := a.provisionBreaker(asWritten); err != nil {
		return err
	}
	if a.KeepAnswer {
		a.sampler = switchboard.Shared(app, "answer of "+a.Name, func() *sampler { return new(sampler) })
	}
	a.warn(ctx)

	sum := sha256.Sum256(asWritten)
	return app.RegisterAPI(a.Name, hex.EncodeToString(sum[:]), a)
}

var errCacheSidecar = errors.New("cache: a `to` without a path forwards the whole request, so that no key would be safe; add the path, e.g. `to https://crm.example.com/order/query`")

func (a *API) setDefaults() {
	if a.MaxSize == 0 {
		a.MaxSize = defaultMaxSize
	}
	a.replay = a.Replay == nil || *a.Replay
}

// check validates the settings.
func (a *API) check() error {
	switch {
	case a.Name == "":
		return errors.New("the api's name is missing; write `api NAME { … }`")
	case a.MaxSize < 0:
		return errors.New("max_size must be more than 0, e.g. `max_size 1MiB`")
	case a.MaxHeader < 0:
		return errors.New("max_header must be more than 0, e.g. `max_header 256KiB`")
	case neverSent(a.Method):
		return errors.New("method " + a.Method + " is never sent: it would show or tunnel the token")
	case a.Body != nil && a.Pass != nil && a.Pass.Body:
		return errors.New("body and `pass body` contradict each other; write one of them")
	case a.Breaker != nil && a.Breaker.check() != nil:
		return a.Breaker.check()
	case a.Cache != nil && a.target.sidecar:
		return errCacheSidecar
	case a.Once != nil && sendsAgain(a.HandleRaw):
		return errOnceRetries
	case a.checkWith() != nil:
		return a.checkWith()
	case a.target.keep != "" && a.source == nil:
		return errors.New("`to {token.NAME}/…` needs a token source with keep; write `token NAME`")
	case a.target.keep != "" && a.source.KeepHosts() == nil:
		return fmt.Errorf("`to {token.%s}/…` needs `keep` in token %s", a.target.keep, a.Token)
	}
	return nil
}

func (a *API) provisionPrograms(define string) error {
	var names []string
	var values []any
	var src *source.Source
	if a.source != nil {
		src = a.source.Source
		names, values = src.Credentials()
	}
	var err error
	if a.programs, err = a.compile(names, define); err != nil {
		return err
	}
	if err := a.checkPrograms(src, define); err != nil {
		return err
	}
	if src != nil {
		a.source.UsedBy(a.programs.all()...)
	}
	a.programs.credentials = values
	if a.source != nil {
		if _, rule := a.source.ExpiredRule(); rule != nil && rule.Uses("request") {
			a.programs.request = true
		}
	}
	if err := a.inheritSuccess(); err != nil {
		return err
	}
	a.shaped = a.Output != "" || a.Default != "" || a.programs.success != nil || a.NotFound != "" || a.Unhealthy != "" || a.Format != "" || a.For != "" ||
		a.Cache != nil || a.Once != nil || a.Answer != nil || len(a.With) > 0
	a.buffered = a.shaped || a.KeepAnswer
	if a.programs.reader, err = a.Answer.reader(); err != nil {
		return err
	}
	a.programs.reader.Part = a.projection()
	return nil
}

// inheritSuccess uses the token source's api_success, which applies to every API
// call with that source unless the API has its own.
func (a *API) inheritSuccess() error {
	if a.source == nil || a.Success != "" || a.target.sidecar || a.source.APISuccess() == "" {
		return nil
	}
	program, err := jq.Compile(a.source.APISuccess(), jq.Spec{Vars: append(slices.Clip(answerVars), a.withVars()...), Want: jq.Predicate})
	if err != nil {
		return fmt.Errorf("api_success of token %s: %w", a.Token, err)
	}
	a.programs.success = program
	a.programs.request = a.programs.request || program.Uses("request")
	a.programs.answerHeaders = a.programs.answerHeaders || program.Uses("headers")
	return nil
}

// projection returns the parts of an answer that any program uses; only those
// need to be decoded. Without output, that is everything.
func (a *API) projection() *jsonval.Part {
	p := a.programs
	if p.output == nil {
		return nil
	}
	if p.expired == nil && a.source != nil && a.source.HasToken() {
		_, p.expired = a.source.ExpiredRule()
	}
	return jq.Project(p.success, p.notFound, p.unhealthy, p.output, p.expired)
}

// provisionContract runs `default` once, and makes sure that it can be rendered
// in the format: the default is what remains when everything else has failed.
func (a *API) provisionContract(ctx context.Context) (err error) {
	if a.Default == "" {
		a.route.StatusField = "" // the outcome is part of the contract
		return nil
	}
	if a.route.Contract, err = a.runDefault(ctx); err != nil {
		return err
	}
	return a.route.CheckContract()
}

// runDefault runs the program and returns its contract.
func (a *API) runDefault(ctx context.Context) (*answer.Contract, error) {
	program, err := jq.Compile(a.Default, jq.Spec{Want: jq.Object})
	if err != nil {
		return nil, fmt.Errorf("default: %w", err)
	}
	v, err := program.Run(ctx, map[string]any{})
	if err != nil {
		return nil, fmt.Errorf("default: %w; write an object, e.g. `default `{name: \"\"}``", err)
	}
	return answer.NewContract(v.(map[string]any)), nil
}

// identify returns what the API's answers depend on in the configuration: settings,
// target and credentials. It keeps a digest of it.
func (a *API) identify(app *switchboard.App, asWritten []byte) []string {
	identity := []string{string(asWritten), a.target.scheme, a.target.host}
	if a.source != nil {
		identity = append(identity, a.source.Identity())
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", append(slices.Clip(identity), app.Define)))
	a.settings = sum[:]
	return identity
}

// provisionCache gives the API its cache. It keeps the answers of earlier
// configurations with the same identity.
func (a *API) provisionCache(app *switchboard.App, identity []string) error {
	if a.Cache == nil {
		return nil
	}
	return a.ProvisionCache(app, a.route, identity...)
}

// programs are an API's compiled jq programs. A program that isn't configured is
// nil.
type programs struct {
	require                    []*jq.Program
	path, query, body, headers *jq.Program
	success, notFound          *jq.Program
	unhealthy, output, expired *jq.Program

	with []withProgram // in their order

	named      []namedProgram // all but those of require, as they are configured
	headerVars []string       // the variables of headers

	// reader reads answers, and what the programs use of them.
	reader document.Reader

	// notFoundBySign reports that not_found looks for a sign: it is false for
	// null. A predicate that is true for null only sees that there is no data.
	notFoundBySign bool

	credentials   []any // values of the credentials, after the fixed variables
	makesRequest  bool  // some part of the API's request is computed
	signs         bool  // a request program uses the token, the time or the nonce
	request       bool  // some program uses $request
	answerHeaders bool  // some program uses the answer's headers
}

type namedProgram struct {
	name    string
	program *jq.Program
	vars    []string // its variables, in order; not those of `with`
}

// The variables of each kind of program, in the order of their values. In request
// programs, the credentials follow them.
var (
	requestVars = []string{"request", "token", "timestamp", "nonce"}
	headerVars  = []string{"url", "query", "body"}
	answerVars  = []string{"status", "headers", "params", "request"}
)

// compile compiles all programs of an API. names are the credentials that request
// programs may use; define is prepended to each program.
func (a *API) compile(names []string, define string) (programs, error) {
	var p programs
	beforeParts := append(append([]string(nil), requestVars...), names...)
	forRequest := append(slices.Clip(beforeParts), a.withVars()...)
	forHeaders := append(append([]string(nil), forRequest...), headerVars...)
	p.headerVars = forHeaders
	forAnswer := append(slices.Clip(answerVars), a.withVars()...)
	var bodySource string
	bodyKind := jq.Any
	if a.Body != nil {
		bodySource, bodyKind = a.Body.Program, a.Body.kind()
	}
	var expired string
	if a.TokenExpired != nil {
		expired = a.TokenExpired.Program
	}
	var err error
	if p.require, err = a.Require.compile(beforeParts, define); err != nil {
		return p, err
	}
	for _, condition := range p.require {
		p.request = p.request || condition.Uses("request")
	}
	if p.with, err = a.compileWith(names, define); err != nil {
		return p, err
	}
	for i, w := range p.with {
		p.named = append(p.named, namedProgram{name: withLine(a.With[i].Var), program: w.params})
		p.request = p.request || w.params.Uses("request")
	}
	for _, it := range []struct {
		name   string
		source string
		vars   []string
		want   jq.Kind
		into   **jq.Program
	}{
		{"path", a.Path, forRequest, jq.Array, &p.path},
		{"query", a.Query, forRequest, jq.Object, &p.query},
		{"body", bodySource, forRequest, bodyKind, &p.body},
		{"headers", a.Headers, forHeaders, jq.Object, &p.headers},
		{"success", a.Success, forAnswer, jq.Predicate, &p.success},
		{"not_found", a.NotFound, forAnswer, jq.Predicate, &p.notFound},
		{"unhealthy", a.Unhealthy, forAnswer, jq.Predicate, &p.unhealthy},
		{"output", a.Output, forAnswer, jq.Any, &p.output},
		{"token_expired", expired, answerVars, jq.Predicate, &p.expired},
	} {
		if it.source == "" {
			continue
		}
		program, err := jq.Compile(it.source, jq.Spec{Vars: it.vars, Want: it.want, Define: define})
		if err != nil {
			return p, fmt.Errorf("%s: %w", it.name, err)
		}
		*it.into = program
		p.named = append(p.named, namedProgram{it.name, program, it.vars})
		p.request = p.request || program.Uses("request")
		p.answerHeaders = p.answerHeaders || program.Uses("headers")
	}
	p.makesRequest = len(p.ofRequest()) > 0
	p.signs = slices.ContainsFunc(p.ofRequest(), func(program *jq.Program) bool {
		return program.Uses("token") || program.Uses("timestamp") || program.Uses("nonce")
	})
	if p.notFound != nil {
		vars := []any{http.StatusOK, map[string]any{}, map[string]any{}, map[string]any{}}
		ofNull, err := p.notFound.Test(context.Background(), nil, append(vars, make([]any, len(a.With))...)...)
		p.notFoundBySign = err != nil || !ofNull
	}
	return p, nil
}

// checkKeys refuses a program that signs with a credential of src which is not a key of
// the program's algorithm. src may be nil.
func (p *programs) checkKeys(src *source.Source) error {
	for _, it := range p.named {
		if src == nil {
			return nil
		}
		if err := src.CheckKeys(it.program); err != nil {
			return fmt.Errorf("%s: %w", it.name, err)
		}
	}
	return nil
}

// all returns all programs.
func (p *programs) all() []*jq.Program {
	found := slices.Clone(p.require)
	for _, it := range p.named {
		found = append(found, it.program)
	}
	return found
}

// onParams returns the programs that are run on the params, but for require: those of
// the parts, and those that compute a part of the API's request.
func (p *programs) onParams() []*jq.Program {
	found := p.ofRequest()
	for _, w := range p.with {
		found = append(found, w.params)
	}
	return found
}

// usesParts reports whether the program of that name uses an answer of the chain.
func (a *API) usesParts(name string) bool {
	return slices.ContainsFunc(a.programs.named, func(it namedProgram) bool {
		return it.name == name && slices.ContainsFunc(a.With, func(w With) bool { return it.program.Uses(w.Var) })
	})
}

// ignoresCaller reports whether the request program of that name depends on nothing that
// came in: neither params, nor the request, nor answers to it.
func (a *API) ignoresCaller(name string) bool {
	return !a.usesParts(name) && slices.ContainsFunc(a.programs.named, func(it namedProgram) bool {
		return it.name == name && ignoresCaller(it.program)
	})
}

// ofRequest returns the configured programs that compute a part of the API's request.
func (p *programs) ofRequest() []*jq.Program {
	return slices.DeleteFunc([]*jq.Program{p.path, p.query, p.body, p.headers}, func(program *jq.Program) bool { return program == nil })
}
