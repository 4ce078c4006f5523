package switchboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/program"
)

// Playground is the initial state of the playground, where an operator edits an
// API's `output`.
type Playground struct {
	Output      string  `json:"output"`          // the configured program, "" for none
	For         string  `json:"for,omitempty"`   // the route's phone system
	Sample      *Sample `json:"kept,omitempty"`  // the last answer, with keep_answer
	KeepsSample bool    `json:"keeps,omitempty"` // whether keep_answer is on

	Parts []string `json:"parts,omitempty"` // variables of the parts of its chain

	Systems []string `json:"systems"` // all phone systems
}

// Sample is an answer of an API with its context, masked.
type Sample struct {
	Time    time.Time `json:"time"`
	Answer  any       `json:"answer"`
	Status  int       `json:"status"`
	Headers any       `json:"headers"`
	Params  any       `json:"params"`
}

// PlaygroundInput is an output program, and an answer to run it on.
type PlaygroundInput struct {
	Output string          `json:"output"`
	Answer json.RawMessage `json:"answer"` // of the API
	For    string          `json:"for"`    // the phone system to render for, "" for none
	// Values of the program's variables: status, headers, params, request, and those
	// of the parts of the API's chain.
	Vars map[string]json.RawMessage `json:"vars"`
}

// PlaygroundResult is the result of the program.
type PlaygroundResult struct {
	Error  string          `json:"error,omitempty"` // error of the program or the answer
	Result json.RawMessage `json:"result,omitempty"`

	Outcome string `json:"outcome,omitempty"` // ok or not_found
	Text    string `json:"text"`              // the rendered answer
	Format  string `json:"format,omitempty"`
	Limit   int    `json:"limit,omitempty"`   // maximum size in bytes, 0 for none
	Refused string `json:"refused,omitempty"` // why it can't be rendered

	Lines string `json:"lines,omitempty"` // for the Caddyfile
	File  string `json:"file,omitempty"`  // that the program must be put into, "" for none
}

// Playground returns the initial state of an API's playground.
func (o Operator) Playground(name string) (Playground, error) {
	api, ok := o.app.registered(name)
	if !ok {
		return Playground{}, apiError(http.StatusNotFound, o.app.noSuchAPI(name))
	}
	p := api.Playground()
	for _, system := range answer.Systems() {
		p.Systems = append(p.Systems, system.Name)
	}
	p.Systems = slices.AppendSeq(p.Systems, maps.Keys(o.app.PhoneSystems))
	slices.Sort(p.Systems)
	p.Systems = slices.Compact(p.Systems)
	return p, nil
}

// A program that somebody types can be anything, and arrives with every key that is
// pressed. It runs under the guards of all programs (package jq) and within a smaller
// budget, so that the machine is left to the calls.
const (
	playgroundTime   = time.Second            // for all of it: a turn, the answer, the program
	playgroundRun    = 100 * time.Millisecond // for the program
	playgroundMemory = 32 << 20               // bytes that its functions make
	playgroundBytes  = 256 << 10              // of the answer, and of each variable
	playgroundTurns  = 2                      // programs at once
)

// outputVars are the variables of an output program, with their values where the
// input has none.
var outputVars = map[string]json.RawMessage{"headers": []byte("{}"), "params": []byte("{}"), "request": []byte("null"), "status": []byte("200")}

var (
	playgroundBusy = make(chan struct{}, playgroundTurns)

	errPlaygroundBusy = errors.New("other programs are being tried; try again in a moment")
	errPlaygroundVars = errors.New("an output program has the variables $status, $headers, $params and $request, and those of `with`")
)

// RunPlayground runs an output program on an answer and writes its result. What is
// wrong with the program or the answer is in the result.
func (o Operator) RunPlayground(ctx context.Context, name string, in PlaygroundInput) (out PlaygroundResult, err error) {
	api, ok := o.app.registered(name)
	if !ok {
		return out, apiError(http.StatusNotFound, o.app.noSuchAPI(name))
	}
	if in.For != "" {
		if _, err := o.app.PhoneSystem(in.For); err != nil {
			return out, apiError(http.StatusBadRequest, err)
		}
	}
	known := maps.Clone(outputVars)
	for _, part := range api.Playground().Parts {
		known[part] = []byte("null")
	}
	for variable := range in.Vars {
		if _, ok := known[variable]; !ok {
			return out, apiError(http.StatusBadRequest, errPlaygroundVars)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, playgroundTime)
	defer cancel()
	select {
	case playgroundBusy <- struct{}{}:
		defer func() { <-playgroundBusy }()
	case <-ctx.Done():
		return out, apiError(http.StatusServiceUnavailable, errPlaygroundBusy)
	}
	v, err := in.run(ctx, o.app.Define, known)
	if err == nil {
		out.Result, err = jsonval.Encode(nil, v, jsonval.Limits{})
	}
	if errors.Is(err, jsonval.ErrDeadline) {
		// recursion without an end takes some 120 MiB until then; the next turn must not come on top
		debug.FreeOSMemory()
	}
	if err != nil {
		return PlaygroundResult{Error: err.Error()}, nil
	}
	api.WriteOutput(v, in.For, &out)
	out.Lines, out.File = program.Lines(name, in.Output, in.For)
	return out, nil
}

// run runs the program, if there is one, on the answer. known are its variables, with
// their values where the input has none.
func (in *PlaygroundInput) run(ctx context.Context, define string, known map[string]json.RawMessage) (any, error) {
	names := slices.Sorted(maps.Keys(known))
	source := in.Output
	if strings.TrimSpace(source) == "" {
		source = "."
	}
	p, err := jq.Compile(source, jq.Spec{Vars: names, Define: define, Time: playgroundRun, Memory: playgroundMemory})
	if syntax, ok := errors.AsType[*jq.SyntaxError](err); ok {
		syntax.Hint = "" // which is about Caddyfiles
	}
	if err != nil {
		return nil, err
	}
	room := jsonval.Room{Context: ctx}
	defer room.Release()
	limits := jsonval.Limits{Bytes: playgroundBytes, Room: &room, Purpose: jsonval.ForRequest}
	doc, err := jsonval.Decode(in.Answer, limits)
	if err != nil {
		return nil, fmt.Errorf("the answer to work on: %w", err)
	}
	values := make([]any, 0, len(names))
	for _, name := range names {
		text, ok := in.Vars[name]
		if !ok {
			text = known[name]
		}
		value, err := jsonval.Decode(text, limits)
		if err != nil {
			return nil, fmt.Errorf("$%s: %w", name, err)
		}
		values = append(values, value)
	}
	return p.Run(ctx, doc, values...)
}
