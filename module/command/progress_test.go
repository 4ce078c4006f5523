package command

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Where no terminal is, a line comes every five seconds.
func TestProgressInLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		p := newProgress(&out, "customers imported")
		for i := range int64(12) {
			time.Sleep(time.Second)
			p.bytes(100*(i+1), 2000, 1000*(i+1))
		}
		p.end()
		want := "5,000 customers imported, 1,000/s, 25%, 15s left\n10,000 customers imported, 1,000/s, 50%, 10s left\n"
		if out.String() != want {
			t.Errorf("got\n%swant\n%s", out.String(), want)
		}
	})
}

// A terminal gets a bar with the rate and the time that is left, which goes
// away at the end.
func TestProgressAsABar(t *testing.T) {
	for _, size := range []int64{2000, 0} {
		var out strings.Builder
		p := newProgress(&out, "customers exported")
		p.tty = true
		p.rows(1000, size)
		if !strings.Contains(out.String(), "1,000 customers exported, ") {
			t.Errorf("the bar is %q", out.String())
		}
		p.end()
	}
}
