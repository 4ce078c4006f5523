package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// Serve is what the process does: it bounds itself, reads a job, runs its program
// and writes the result. It is called once, and the process ends after it.
func Serve(in io.Reader, out io.Writer) error {
	if err := bound(); err != nil {
		return fmt.Errorf("bounding the process: %w", err)
	}
	return serve(in, out)
}

func serve(in io.Reader, out io.Writer) error {
	var job Job
	if err := json.NewDecoder(in).Decode(&job); err != nil {
		return fmt.Errorf("reading the job: %w", err)
	}
	var result Result
	if value, err := job.run(); err == nil {
		result.Value = value
	} else {
		result.Error = err.Error()
	}
	return json.NewEncoder(out).Encode(result)
}

func (j *Job) run() (json.RawMessage, error) {
	names := slices.Sorted(maps.Keys(j.Vars))
	program, err := jq.Compile(j.Program, jq.Spec{Vars: names, Want: jq.Any, Define: j.Define})
	if syntax, ok := errors.AsType[*jq.SyntaxError](err); ok {
		syntax.Hint = "" // which is about Caddyfiles
	}
	if err != nil {
		return nil, err
	}
	input, err := jsonval.Decode(j.Input, jsonval.Limits{})
	if err != nil {
		return nil, fmt.Errorf("the answer to work on: %w", err)
	}
	values := make([]any, 0, len(names))
	for _, name := range names {
		value, err := jsonval.Decode(j.Vars[name], jsonval.Limits{})
		if err != nil {
			return nil, fmt.Errorf("$%s: %w", name, err)
		}
		values = append(values, value)
	}
	result, err := program.Run(context.Background(), input, values...)
	if err != nil {
		return nil, err
	}
	return jsonval.Encode(nil, result, jsonval.Limits{})
}
