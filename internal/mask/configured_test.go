package mask

import (
	"strings"
	"testing"
)

// A configuration may give a secret any name. It is masked wherever names count,
// until the last configuration that gives it has gone.
func TestAddSecrets(t *testing.T) {
	line := func() string {
		return Value("X-Ivr", "open1") + " " + URI("/a?tk=open2&b=1") + " " + Text(`{"T-K":"open3","tks":"stays"}`) + " " +
			Value("ivr", "stays") + " " + Hide("x_ivr", "open4", nil)
	}
	if got := line(); strings.Count(got, "open") != 4 {
		t.Fatalf("before: %s", got)
	}
	first := AddSecrets([]string{"X-Ivr", "tk", "", "--"})
	second := AddSecrets([]string{"x-ivr"})
	if got := line(); strings.Contains(got, "open") || strings.Count(got, "stays") != 2 || !strings.Contains(got, "b=1") {
		t.Errorf("with both: %s", got)
	}
	first()
	first()
	if got := line(); strings.Contains(got, "open1") || strings.Contains(got, "open4") || !strings.Contains(got, "open2") {
		t.Errorf("with one: %s", got)
	}
	second()
	if got := line(); strings.Count(got, "open") != 4 {
		t.Errorf("after: %s", got)
	}
}
