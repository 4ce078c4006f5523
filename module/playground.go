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
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/program"
	"github.com/switchboard-ivr/switchboard/module/sandbox"
)

// Bench is where somebody works on an API's `output`: what to begin with.
type Playground struct {
	Output      string  `json:"output"`          // the program as it is configured, "" for none
	For         string  `json:"for,omitempty"`   // the route's phone system
	Sample      *Sample `json:"kept,omitempty"`  // the last answer, where the route keeps it
	KeepsSample bool    `json:"keeps,omitempty"` // whether it does

	Systems []string `json:"systems"` // all phone systems
}

// Sample is an answer of an API and what came with it, masked.
type Sample struct {
	Time    time.Time `json:"time"`
	Answer  any       `json:"answer"`
	Status  int       `json:"status"`
	Headers any       `json:"headers"`
	Params  any       `json:"params"`
}

// Draft is an output program to try on an answer.
type PlaygroundInput struct {
	Output string          `json:"output"`
	Answer json.RawMessage `json:"answer"` // of the API
	For    string          `json:"for"`    // the phone system to write for, "" for none
	// Values of the program's variables: status, headers, params, request.
	Vars map[string]json.RawMessage `json:"vars"`
}

// Drafted is what a draft gives.
type PlaygroundResult struct {
	Error  string          `json:"error,omitempty"` // what is wrong with the program or the answer
	Result json.RawMessage `json:"result,omitempty"`

	Outcome string `json:"outcome,omitempty"` // ok or not_found
	Text    string `json:"text"`              // as the phone system gets it
	Format  string `json:"format,omitempty"`
	Limit   int    `json:"limit,omitempty"`   // of its bytes, 0 for none
	Refused string `json:"refused,omitempty"` // why it can't be written so

	Lines string `json:"lines,omitempty"` // for the Caddyfile
	File  string `json:"file,omitempty"`  // that the program has to go into, if it has to
}

// Benched is an API whose output can be worked on.
type PlaygroundAPI interface {
	// Bench tells what to begin with; systems are left to the caller.
	Playground() Playground
	// Write writes the value of an output program as the API would.
	WriteOutput(v any, system string, to *PlaygroundResult)
}

func (o Operator) playgroundAPI(name string) (PlaygroundAPI, error) {
	api, ok := o.app.registered(name)
	if !ok {
		return nil, apiError(http.StatusNotFound, o.app.noSuchAPI(name))
	}
	b, ok := api.(PlaygroundAPI)
	if !ok {
		return nil, apiError(http.StatusConflict, errors.New("api "+name+" has no output to work on"))
	}
	return b, nil
}

// Bench tells what the work on an API's output begins with.
func (o Operator) Playground(name string) (Playground, error) {
	api, err := o.playgroundAPI(name)
	if err != nil {
		return Playground{}, err
	}
	bench := api.Playground()
	for _, system := range answer.Systems() {
		bench.Systems = append(bench.Systems, system.Name)
	}
	bench.Systems = slices.AppendSeq(bench.Systems, maps.Keys(o.app.PhoneSystems))
	slices.Sort(bench.Systems)
	bench.Systems = slices.Compact(bench.Systems)
	return bench, nil
}

// outputVars are the variables of an output program, with their values where a
// draft has none.
var outputVars = map[string]json.RawMessage{"status": []byte("200"), "headers": []byte("{}"), "params": []byte("{}"), "request": []byte("null")}

// Try runs an output program on an answer and writes its result. The program runs
// in a process of its own.
func (o Operator) RunPlayground(ctx context.Context, name string, d PlaygroundInput) (done PlaygroundResult, err error) {
	api, err := o.playgroundAPI(name)
	if err != nil {
		return done, err
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
	v, err := jsonval.Decode(result.Value, jsonval.Limits{})
	if err != nil {
		return PlaygroundResult{Error: err.Error()}, nil
	}
	done.Result = result.Value
	api.WriteOutput(v, d.For, &done)
	done.Lines, done.File = program.Lines(name, d.Output, d.For)
	return done, nil
}
