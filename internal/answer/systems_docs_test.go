package answer_test

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/answer"
)

// The guide's table says what the data files say, no more and no less.
func TestTheGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/guides/phone-systems.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for row := range strings.Lines(string(text)) {
		if strings.HasPrefix(row, "| `") && !strings.HasPrefix(row, "| `for`") {
			rows++
		}
	}
	if rows != len(answer.Systems()) {
		t.Errorf("%d rows for %d systems", rows, len(answer.Systems()))
	}
	for _, s := range answer.Systems() {
		format, limit, wait, onFailure, tested := s.Format.String(), "unknown", "unknown", "default", "no"
		if s.NoNull {
			format += ", no null"
		}
		if s.Object {
			format += ", an object"
		}
		if s.Limit > 0 {
			limit = fmt.Sprint(s.Limit, " bytes")
		}
		if s.Wait > 0 {
			wait = seconds(s.Wait)
		}
		if s.OnError {
			onFailure = "error"
		}
		if s.Tested {
			tested = "yes"
		}
		row := fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s | %s | %s | %s |\n", s.Name, s.Title, format, limit, wait,
			seconds(cmp.Or(s.Budget, 2*time.Second)), onFailure, cmp.Or(strings.Join(s.Filter, " "), "–"), tested)
		if !strings.Contains(string(text), row) {
			t.Errorf("the table lacks\n%s", row)
		}
	}
}

func seconds(d time.Duration) string { return fmt.Sprint(d.Seconds(), "s") }

// Every filter is in the reference.
func TestTheReferenceOfFilters(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range answer.Filters() {
		if !strings.Contains(string(text), "| `"+name+"` |") {
			t.Errorf("%s is missing", name)
		}
	}
}
