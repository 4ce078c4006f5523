package customer

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The reference lists every field as it is.
func TestTheReferenceListsTheFields(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/customers.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Fields {
		if line := fmt.Sprintf("| `%s` | `%s` | %s |\n", f.Wire, f.Column, f.About); !strings.Contains(string(text), line) {
			t.Errorf("docs/reference/customers.md has no line\n%s", line)
		}
	}
	if n := strings.Count(string(text), "\n| `") - 3; n != len(Fields) { // three stores
		t.Errorf("%d fields are listed, want %d", n, len(Fields))
	}
}
