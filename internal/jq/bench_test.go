package jq

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/itchyny/gojq"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// An answer of about a KiB, as customer systems give them.
var answer = []byte(`{"code":"000000","msg":"ok","data":{"list":[` + strings.Repeat(customer+",", 3) + customer + `],"total":4,"page":1}}`)

const customer = `{"id":12345,"name":"Zhang Wei","email":"zhang.wei@example.com","tel":"+8613800138000","vip":true,` +
	`"tags":["a","b","c"],"balance":1234.50,"note":null,"address":{"city":"Shanghai","zip":"200000","street":"Nanjing Road 1"}}`

var benchmarks = []struct{ name, src string }{
	{"identity", `.`},
	{"output", `{name: .data.list[0].name, vip: .data.total}`},
	{"predicate", `.code == "000000"`},
	{"map", `.data.list | map({id, name, tel: (.tel | ltrimstr("+"))})`},
	{"update", `.data.list | map(select(.vip and .balance > 100) | .tags += ["x"] | del(.note))`},
	{"text", `.data.list | map("\(.name) <\(.email)>") | join(", ")`},
	{"sort", `.data.list | sort_by(.id) | map(.name + " " + .email)`},
	{"modify", `.data.list[] |= (.name |= ascii_upcase)`},
	{"regex", `[.data.list[].email | gsub("[^a-z]"; "")]`},
	{"numbers", `.data.list | map(.id * .balance) | add`},
	{"loop", `reduce range(1000) as $i (0; . + $i)`},
}

// BenchmarkRun compares a guarded run with gojq's own, under a timer.
func BenchmarkRun(b *testing.B) {
	in, err := jsonval.Decode(answer, jsonval.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	for _, bb := range benchmarks {
		b.Run(bb.name+"/ours", func(b *testing.B) {
			p := compile(b, bb.src, Spec{})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Run(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(bb.name+"/gojq", func(b *testing.B) {
			code := gojqCode(b, bb.src)
			b.ReportAllocs()
			for b.Loop() {
				ctx, cancel := context.WithTimeout(b.Context(), Deadline)
				results := code.RunWithContext(ctx, in)
				if v, _ := results.Next(); v == nil {
					b.Fatal("no result")
				}
				results.Next()
				cancel()
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		compile(b, benchmarks[4].src, Spec{})
	}
}

// BenchmarkMachine is what a run costs when no idle copy of its program is left.
func BenchmarkMachine(b *testing.B) {
	p := compile(b, benchmarks[4].src, Spec{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.newMachine(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(answer)))
		for b.Loop() {
			if _, err := jsonval.Decode(answer, jsonval.Limits{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("json", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(answer)))
		for b.Loop() {
			dec := json.NewDecoder(bytes.NewReader(answer))
			dec.UseNumber()
			var v any
			if err := dec.Decode(&v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	v, err := jsonval.Decode(answer, jsonval.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(answer)))
		buffer := make([]byte, 0, 4096)
		for b.Loop() {
			if _, err := jsonval.Encode(buffer, v, jsonval.Limits{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gojq", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(answer)))
		for b.Loop() {
			if _, err := gojq.Marshal(v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
