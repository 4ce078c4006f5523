package answer_test

import (
	"encoding/json"
	"fmt"

	"github.com/switchboard-ivr/switchboard/internal/answer"
)

func ExampleFormat_Append() {
	doc := map[string]any{
		"name":   "Ann",
		"orders": []any{json.Number("7"), map[string]any{"paid": true}},
		"note":   nil,
	}
	for _, format := range []answer.Format{answer.JSON, answer.Flat, answer.Form} {
		text, err := format.Append(nil, doc)
		fmt.Println(string(text), err)
	}
	// Output:
	// {"name":"Ann","note":null,"orders":[7,{"paid":true}]} <nil>
	// {"name":"Ann","note":"","orders_1":"7","orders_2_paid":"true","orders_count":"2"} <nil>
	// name=Ann&note=&orders_1=7&orders_2_paid=true&orders_count=2 <nil>
}

func ExampleContract_Apply() {
	contract := answer.NewContract(map[string]any{"name": "", "orders": []any{}})
	doc, err := contract.Apply(map[string]any{"name": json.Number("17"), "orders": "none"}, answer.JSON)
	fmt.Println(doc, err)
	// Output: map[name:17 orders:[]] <nil>
}

func ExampleFindSystem() {
	system, err := answer.FindSystem("asterisk")
	if err != nil {
		fmt.Println(err)
		return
	}
	style := system.Style()
	text, err := style.Append(nil, map[string]any{"name": `Ann "the boss"`})
	fmt.Println(string(text), err)
	// Output: {"name":"Ann 'the boss'"} <nil>
}
