package kamailio

import (
	"bytes"
	"testing"
)

// Change puts another text into kamailio.cfg for the length of a test.
func Change(t *testing.T, from, to string) {
	t.Helper()
	was := config
	if !bytes.Contains(was, []byte(from)) {
		t.Fatalf("kamailio.cfg has no %s", from)
	}
	config = bytes.ReplaceAll(was, []byte(from), []byte(to))
	t.Cleanup(func() { config = was })
}
