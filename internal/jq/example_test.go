package jq_test

import (
	"context"
	"fmt"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

func Example() {
	program, err := jq.Compile(`{name: .data.nick, key: $app_key}`, jq.Spec{Vars: []string{"app_key"}, Want: jq.Object})
	if err != nil {
		fmt.Println(err)
		return
	}
	doc, err := jsonval.Decode([]byte(`{"code": "000000", "data": {"nick": "Ann"}}`), jsonval.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := program.Run(context.Background(), doc, "k-17")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := jsonval.Encode(nil, out, jsonval.Limits{})
	fmt.Println(string(text), err)
	// Output: {"key":"k-17","name":"Ann"} <nil>
}

func ExampleCompile_mistake() {
	_, err := jq.Compile("{name: .data.nick |\n  ascii_upper}", jq.Spec{})
	fmt.Println(err)
	// Output: line 2, column 3: there is no function ascii_upper/0
}

func ExampleProgram_Run_bounded() {
	program, err := jq.Compile(`"x" * 1e9`, jq.Spec{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = program.Run(context.Background(), nil)
	fmt.Println(err)
	// Output: jq: too large
}

func ExampleProgram_Test() {
	healthy, err := jq.Compile(`.code == "000000" and $status < 400`, jq.Spec{Vars: []string{"status"}, Want: jq.Predicate})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(healthy.Test(context.Background(), map[string]any{"code": "000000"}, 200))
	// Output: true <nil>
}
