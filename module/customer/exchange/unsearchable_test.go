package exchange

import (
	"fmt"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/internal/phone"
)

// Numbers that a spreadsheet has spoilt were imported without a word, and never
// found.
func TestUnsearchable(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"numbers": {
			"id,tel\nC0,1.38001E+10\nC1,8.6138E+12\nC2,13800138000/13900139000\nC3,N/A\nC4,\"13,800,138,000\"\n",
			"[tel of 5 customers can't be searched, first in line 2]",
		},
		"emails": {"id,email\nC0,a@b.c\nC1,none\nC2,a b@c.d\n", "[email of 2 customers can't be searched, first in line 3]"},
		"both": {
			"id,tel,email\nC0,,\nC1,1,x\nC2,13800138000.0,a@b.c\n",
			"[tel of 1 customer can't be searched, first in line 3 email of 1 customer can't be searched, first in line 3]",
		},
		"good ones":       {"id,tel,email\nC0,=\"13800138000\",A@b.c\nC1,'13800138000,\nC2,+14155550123,\n", "[]"},
		"rejected rows":   {"id,tel\n,1\nC1,13800138000\n", "[]"},
		"NDJSON":          {`{"id":"C1","tel":1}`, "[tel of 1 customer can't be searched, first in line 1]"},
		"an array's rows": {`[{"id":"C1","tel":"13800138000"},{"id":"C2","tel":"13"}]`, "[tel of 1 customer can't be searched, first in line 2]"},
		"several batches": {"id,tel\n" + strings.Repeat("C1,1\n", 10), "[tel of 10 customers can't be searched, first in line 2]"},
	} {
		m := newMemory()
		var told []Unsearchable
		i := Importer{Store: m, Batch: 3, Region: phone.Region{Country: "CN"}, Unsearchable: func(u Unsearchable) { told = append(told, u) }}
		result, err := i.Run(t.Context(), Source{Reader: strings.NewReader(test.text)})
		if got := fmt.Sprint(result.Unsearchable); err != nil || got != test.want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, test.want)
		}
		if len(told) != len(result.Unsearchable) {
			t.Errorf("%s: told %v of %v", name, told, result.Unsearchable)
		}
	}
}

// A run that continues another one counts the rows before, too.
func TestUnsearchableOfARunThatContinues(t *testing.T) {
	m := newMemory()
	m.failAt = 2
	i := Importer{Store: m, Batch: 1, Region: phone.Region{Country: "CN"}}
	const text = "id,tel\nC1,x\nC2,x\nC3,x\n"
	result, err := i.Run(t.Context(), Source{Reader: strings.NewReader(text), ID: "f"})
	if err == nil || result.Line != 2 || fmt.Sprint(result.Unsearchable) != "[tel of 1 customer can't be searched, first in line 2]" {
		t.Fatalf("%+v, %v", result, err)
	}
	m.failAt = 0
	result, err = i.Run(t.Context(), Source{Reader: strings.NewReader(text), ID: "f"})
	if err != nil || result.Resumed != 2 || result.Line != 4 || fmt.Sprint(result.Unsearchable) != "[tel of 3 customers can't be searched, first in line 2]" {
		t.Errorf("%+v, %v", result, err)
	}
}
