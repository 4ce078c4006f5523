package schema

import (
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// A row that SQLite yields as one text is the customer that was written.
func TestUnpack(t *testing.T) {
	t.Parallel()
	n := len(customer.Fields)
	for text, want := range map[string]string{
		"C1" + strings.Repeat("\x00", n):                   "C1",
		"C1\x00138" + strings.Repeat("\x00", n-1):          "C1 138",
		"C1" + strings.Repeat("\x00", n) + `{"level":"A"}`: "C1 A",
		"C1" + strings.Repeat("\x00", n) + `{"level":1}`:   "error: the column custom",
		"C1" + strings.Repeat("\x00", n) + `[`:             "error: the column custom",
		"C1" + strings.Repeat("\x00", n-1):                 "error: a value is missing",
		"C1" + strings.Repeat("\x00", n+1):                 "error: a value is missing",
		"":                                                 "error: a value is missing",
	} {
		record, err := Unpack(text)
		if reason, refused := strings.CutPrefix(want, "error: "); refused {
			if err == nil || !strings.Contains(err.Error(), reason) {
				t.Errorf("%q: got %v, want %s", text, err, reason)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := strings.Join(strings.Fields(record.ID+" "+record.Tel+" "+record.Custom["level"]), " "); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestUnpackNewest(t *testing.T) {
	t.Parallel()
	row := "C1" + strings.Repeat("\x00", len(customer.Fields))
	for text, want := range map[string]struct {
		id      string
		several bool
		wrong   bool
	}{
		"0":                  {},
		"1\x0017\x00" + row:  {id: "C1"},
		"12\x0017\x00" + row: {id: "C1", several: true},
		"1\x0017\x00":        {wrong: true},
		"1":                  {wrong: true},
		"":                   {wrong: true},
	} {
		newest, several, err := UnpackNewest(text)
		if (err != nil) != want.wrong {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && (several != want.several || (newest == nil) != (want.id == "") || newest != nil && newest.ID != want.id) {
			t.Errorf("%q: %+v, %v", text, newest, several)
		}
	}
}
