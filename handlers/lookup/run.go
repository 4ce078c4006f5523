package lookup

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/span"
)

// run is one lookup on its way through the stages.
type run struct {
	call   endpoint.Call
	lookup *Lookup
	query  customer.Query

	worked bool // this call has asked the directory
}

func (c *run) placeholder(key string) (any, bool) {
	switch key {
	case "http.customer_lookup.outcome":
		return string(c.call.Outcome), true
	case "http.customer_lookup.call_id":
		return c.call.ID, true
	default:
		return nil, false
	}
}

// receive reads for whom the phone system asks.
func (c *run) receive() bool {
	begin := time.Now()
	defer func() { c.call.Timing.Receive = time.Since(begin) }()
	if c.call.R.Method != http.MethodGet && c.call.R.Method != http.MethodHead && c.call.R.Method != http.MethodPost {
		c.call.Identify()
		c.call.W.Header().Set("Allow", "GET, HEAD, POST")
		return c.call.Refuse(http.StatusMethodNotAllowed, call.BadRequest, "use GET or POST")
	}
	if !c.call.Receive(false) {
		if c.call.Status == http.StatusUnsupportedMediaType {
			c.call.Status = http.StatusBadRequest
		}
		return false
	}
	c.call.Identify()
	var err error
	if c.query, err = customer.NewQuery(c.call.Input.Params, c.lookup.directory.Region()); err != nil {
		return c.call.Refuse(http.StatusBadRequest, call.BadRequest, err.Error())
	}
	return true
}

// find asks the directory.
func (c *run) find() bool {
	c.worked = true
	defer c.recordSteps()
	if c.call.Test != nil && c.call.Test.DryRun {
		return c.call.Fail(call.DryRun, "a dry run: the customer directory was not asked")
	}
	if c.query.Nobody() {
		return c.notFound(call.NotFound)
	}
	_, traced := span.Start(c.call.R.Context(), span.Directory, false)
	begin := time.Now()
	found, err := c.lookup.directory.Find(c.call.Ctx, c.query, c.lookup.asked)
	c.call.Timing.Upstream = time.Since(begin)
	if err != nil {
		traced.Fail("no answer")
	}
	traced.End()
	switch {
	case err != nil:
		return c.failed(err)
	case len(found) == 0:
		return c.notFound(call.NotFound)
	case len(found) > 1:
		return c.notFound(call.Ambiguous)
	}
	c.call.Outcome = call.OK
	c.call.Output = c.lookup.answers.of(found[0])
	return true
}

// nobody ends a lookup that finds nobody, or too many.
func (c *run) notFound(outcome call.Outcome) bool {
	c.call.Outcome = outcome
	c.call.Output = c.lookup.answers.notFound()
	if c.lookup.NotFound == notFoundStatus {
		c.call.Status = http.StatusNotFound
	}
	return true
}

// checks say where to look when the directory has given no answer.
var checks = map[call.Outcome]string{
	call.Unreachable: "the database of `customers`: whether it runs, its address, user and password, and the rights of the file, from this machine; the reason has the database's own code",
	call.BadAnswer:   "the statement or the `record` that the reason names, in `customers`: run it with the database's own client, as the user of the DSN",
	call.TooLarge:    "the column that the reason names: let `find` select only what `record` needs; or, without one, what the phone system takes: step answer counts the bytes",
	call.Timeout:     "how long step call takes against `budget`, and whether the query has an index; the database's own client shows its plan",
}

// failed ends a lookup for which the directory has no answer. Its errors hold
// nothing of customers; callers get none of them.
func (c *run) failed(err error) bool {
	switch {
	case c.call.Ctx.Err() != nil:
		return c.call.Expire("")
	case errors.Is(err, customer.ErrUnavailable):
		c.call.RetryAfter = time.Second
		return c.call.Refuse(http.StatusServiceUnavailable, call.Unreachable, err.Error())
	case errors.Is(err, customer.ErrTooLarge):
		return c.call.Fail(call.TooLarge, err.Error())
	case errors.Is(err, customer.ErrMismatch):
		return c.call.Fail(call.BadAnswer, err.Error())
	default:
		return c.call.Fail(call.BadAnswer, "the customer directory's answer could not be used")
	}
}

// answer writes what the phone system gets.
func (c *run) answer() error {
	return c.call.Finish(nil, func() []adminapi.Step {
		return append(c.call.RequestSteps(c.worked || c.call.Asked(), nil), c.call.Work...)
	})
}

func (c *run) end() {
	c.lookup.audit.note(c)
	c.call.End()
}

// AppendSubject implements [endpoint.Question]: whom the lookup is for, as it was
// written and as it is compared.
func (c *run) AppendKey(dst []byte) ([]byte, error) {
	for _, term := range c.query {
		dst = cache.AppendPart(dst, string(term.Param))
		dst = cache.AppendPart(dst, term.Raw)
		dst = cache.AppendPart(dst, term.Key)
	}
	return dst, nil
}

// AppendContext implements [endpoint.Question]: an answer depends on nothing else.
func (c *run) AppendVary(dst []byte) []byte { return dst }

// Fork implements [endpoint.Question].
func (c *run) Detach(ctx context.Context) endpoint.DetachedCall {
	return &run{lookup: c.lookup, query: c.query, call: c.call.Detach(ctx, nil)}
}

// Do implements [endpoint.Work].
func (c *run) Run() endpoint.DetachedResult {
	c.find()
	return c.call.FinishDetached()
}

// Late implements [endpoint.Work].
func (*run) Overdue() call.Outcome { return call.Timeout }

// Test implements [switchboard.Tester]: a lookup on the way of all lookups, except that
// nobody asks who calls. The audit log has it, too.
func (l *Lookup) Test(ctx context.Context, t adminapi.Test) (adminapi.Trace, error) {
	trial := &endpoint.TestOptions{NoCache: t.NoCache, DryRun: t.DryRun}
	p, err := endpoint.NewTestRequest(ctx, t, trial, l.server)
	if err != nil {
		return adminapi.Trace{}, err
	}
	c := l.begin(p.W, p.R)
	defer c.end()
	_ = c.receive() && c.call.ServeCached(c) && c.find()
	if err := c.answer(); err != nil {
		return adminapi.Trace{}, err
	}
	return p.Trace(ctx, &c.call, c.worked || c.call.Asked(), nil), nil
}

// tell notes the step of the work, for those who want to know: of a lookup that
// failed, and of one that somebody watches.
func (c *run) recordSteps() {
	if c.call.Test == nil && c.call.Outcome.Answered() {
		return
	}
	step := adminapi.Step{
		Step: "call", Outcome: string(c.call.Outcome), MS: adminapi.Millis(c.call.Timing.Upstream),
		Note: "the customer directory was asked",
	}
	asked := make(map[string]any, len(c.query))
	for _, condition := range c.query {
		asked[string(condition.Param)] = condition.Key
	}
	step.In = mask.Document(asked, nil)
	switch {
	case c.call.Reason != "":
		step.Note = mask.Text(c.call.Reason)
	case c.query.Nobody():
		step.Note = "nothing was given that anybody can be found by"
	}
	if c.call.Output != nil {
		step.Out = mask.Document(c.call.Output, nil)
	}
	c.call.RecordSteps([]adminapi.Step{step})
}

// answers turns customers into documents. It is immutable.
type answers struct {
	fields   []string // nil is all
	empty    string
	null     bool // nobody is null
	envelope bool
}

// of is the document of a customer. Each call gives a new one.
func (a *answers) of(r *customer.Record) any {
	object := make(map[string]any, len(customer.Fields)+len(r.Custom)+1)
	if a.fields == nil {
		r.Complete(func(name, value string) { a.put(object, name, value) })
	} else {
		for _, name := range a.fields {
			a.put(object, name, r.Value(name))
		}
	}
	return a.wrap(object)
}

// nobody is the document when no customer is found.
func (a *answers) notFound() any {
	if a.null {
		return a.wrap(nil)
	}
	object := make(map[string]any, len(customer.Fields)+1)
	names := a.fields
	if names == nil {
		names = wireNames
	}
	for _, name := range names {
		a.put(object, name, "")
	}
	return a.wrap(object)
}

var wireNames = func() []string {
	names := make([]string, len(customer.Fields))
	for i, f := range customer.Fields {
		names[i] = f.Wire
	}
	return names
}()

func (a *answers) put(object map[string]any, name, value string) {
	switch {
	case value != "" || a.empty == emptyBlank:
		object[name] = value
	case a.empty == emptyNull:
		object[name] = nil
	}
}

// wrap adds the envelope.
func (a *answers) wrap(object map[string]any) any {
	switch {
	case a.envelope && object != nil:
		return map[string]any{"code": "000000", "data": object}
	case a.envelope:
		return map[string]any{"code": "000000", "data": nil}
	case object != nil:
		return object
	default:
		return nil
	}
}
