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

	worked bool // this call has queried the directory
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

// receive reads the query.
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

// find queries the directory.
func (c *run) find() bool {
	c.worked = true
	defer c.recordSteps()
	if c.call.Test != nil && c.call.Test.DryRun {
		return c.call.Fail(call.DryRun, "a dry run: the customer directory was not queried")
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

// notFound ends a lookup that found no customer, or too many.
func (c *run) notFound(outcome call.Outcome) bool {
	c.call.Outcome = outcome
	c.call.Output = c.lookup.answers.notFound()
	if c.lookup.NotFound == notFoundStatus {
		c.call.Status = http.StatusNotFound
	}
	return true
}

// checks are the advice for operators when the directory fails.
var checks = map[call.Outcome]string{
	call.Unreachable: "the database of `customers`: whether it is running, its address, user and password, and the file's permissions, from this machine; the reason has the database's own error code",
	call.BadAnswer:   "the statement or the `record` that the reason names, in `customers`: run it with the database's own client, as the user of the DSN",
	call.TooLarge:    "the column that the reason names: let `find` select only what `record` needs; or, if it names none, the phone system's limit: step answer shows the size",
	call.Timeout:     "how long step call takes compared with `budget`, and whether the query uses an index; the database's own client shows its plan",
}

// failed ends a lookup for which the directory has no answer. The directory's
// errors hold no customer data; callers don't get them all the same.
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

// answer sends the response.
func (c *run) answer() error {
	return c.call.Finish(nil, func() []adminapi.Step {
		return append(c.call.RequestSteps(c.worked || c.call.Asked(), nil), c.call.Work...)
	})
}

func (c *run) end() {
	c.lookup.audit.note(c)
	c.call.End()
}

// AppendKey implements [endpoint.Cacheable]: the query, as it was sent and as it
// is compared.
func (c *run) AppendKey(dst []byte) ([]byte, error) {
	for _, term := range c.query {
		dst = cache.AppendPart(dst, string(term.Param))
		dst = cache.AppendPart(dst, term.Raw)
		dst = cache.AppendPart(dst, term.Key)
	}
	return dst, nil
}

// AppendVary implements [endpoint.Cacheable]: an answer depends on nothing else.
func (c *run) AppendVary(dst []byte) []byte { return dst }

// Detach implements [endpoint.Cacheable].
func (c *run) Detach(ctx context.Context) endpoint.DetachedCall {
	return &run{lookup: c.lookup, query: c.query, call: c.call.Detach(ctx, nil)}
}

// Run implements [endpoint.DetachedCall].
func (c *run) Run() endpoint.DetachedResult {
	c.find()
	return c.call.FinishDetached()
}

// Overdue implements [endpoint.DetachedCall].
func (*run) Overdue() call.Outcome { return call.Timeout }

// Test implements [switchboard.Tester]: a lookup like any other, but without
// authorization. It is in the audit log, too.
func (l *Lookup) Test(ctx context.Context, t adminapi.Test) (adminapi.Trace, error) {
	options := &endpoint.TestOptions{NoCache: t.NoCache, DryRun: t.DryRun}
	p, err := endpoint.NewTestRequest(ctx, t, options, l.server)
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

// recordSteps records the step of the work, if the lookup failed or is a test.
func (c *run) recordSteps() {
	if c.call.Test == nil && c.call.Outcome.Answered() {
		return
	}
	step := adminapi.Step{
		Step: "call", Outcome: string(c.call.Outcome), MS: adminapi.Millis(c.call.Timing.Upstream),
		Note: "the customer directory was queried",
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
		step.Note = "no search parameter was given"
	}
	if c.call.Output != nil {
		step.Out = mask.Document(c.call.Output, nil)
	}
	c.call.RecordSteps([]adminapi.Step{step})
}

// answers turns customers into documents. It is immutable.
type answers struct {
	fields   []string // nil for all
	empty    string
	null     bool // answer null if no customer is found
	envelope bool
}

// of returns a customer's document. Each call returns a new one.
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

// notFound returns the document for no customer.
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
