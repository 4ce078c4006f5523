package switchboard

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/program"
	"github.com/switchboard-ivr/switchboard/module/sandbox"
)

// Playground is the initial state of the playground, where an operator edits an
// API's `output`.
type Playground struct {
	Output      string  `json:"output"`          // the configured program, "" for none
	For         string  `json:"for,omitempty"`   // the route's phone system
	Sample      *Sample `json:"kept,omitempty"`  // the last answer, with keep_answer
	KeepsSample bool    `json:"keeps,omitempty"` // whether keep_answer is on

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
	// Values of the program's variables: status, headers, params, request.
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
	playground := api.Playground()
	for _, system := range answer.Systems() {
		playground.Systems = append(playground.Systems, system.Name)
	}
	playground.Systems = slices.AppendSeq(playground.Systems, maps.Keys(o.app.PhoneSystems))
	slices.Sort(playground.Systems)
	playground.Systems = slices.Compact(playground.Systems)
	return playground, nil
}

// outputVars are the variables of an output program, with their default values.
var outputVars = map[string]json.RawMessage{"status": []byte("200"), "headers": []byte("{}"), "params": []byte("{}"), "request": []byte("null")}

// RunPlayground runs an output program on an answer and renders its result. The
// program runs in a process of its own.
func (o Operator) RunPlayground(ctx context.Context, name string, d PlaygroundInput) (done PlaygroundResult, err error) {
	api, ok := o.app.registered(name)
	if !ok {
		return done, apiError(http.StatusNotFound, o.app.noSuchAPI(name))
	}
	if d.For != "" {
		if _, err := o.app.PhoneSystem(d.For); err != nil {
			return done, apiError(http.StatusBadRequest, err)
		}
	}
	vars := maps.Clone(outputVars)
	for variable, value := range d.Vars {
		if _, ok := vars[variable]; !ok {
			return done, apiError(http.StatusBadRequest, errors.New("an output program has the variables $status, $headers, $params and $request"))
		}
		vars[variable] = value
	}
	result := sandbox.Result{Value: d.Answer}
	if strings.TrimSpace(d.Output) != "" {
		result, err = sandbox.Run(ctx, sandbox.Job{Program: d.Output, Define: o.app.Define, Input: d.Answer, Vars: vars})
	}
	switch {
	case errors.Is(err, sandbox.ErrBusy):
		return done, apiError(http.StatusServiceUnavailable, err)
	case errors.Is(err, sandbox.ErrEnded):
		return PlaygroundResult{Error: err.Error()}, nil
	case err != nil:
		return done, apiError(http.StatusInternalServerError, err)
	case result.Error != "":
		return PlaygroundResult{Error: result.Error}, nil
	}
	v, err := jq.Decode(result.Value, jq.Limits{})
	if err != nil {
		return PlaygroundResult{Error: err.Error()}, nil
	}
	done.Result = result.Value
	api.WriteOutput(v, d.For, &done)
	done.Lines, done.File = program.Lines(name, d.Output, d.For)
	return done, nil
}
