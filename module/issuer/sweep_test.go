package issuer

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
)

func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		alive := in.obtain()
		for range 5 {
			in.obtain() // never refreshed
		}
		synctest.Wait() // the first sweep is over
		foreign := []string{
			"issuer/readme", "issuer/00000000zz" + strings.Repeat("0", 46), "certificates/" + strings.Repeat("0", 56),
			"issuer/" + strings.Repeat("0", 55),
		}
		damaged, later := "issuer/"+strings.Repeat("0", 56), "issuer/"+strings.Repeat("1", 56)
		for name, content := range map[string]string{foreign[0]: "", foreign[1]: "", foreign[2]: "", foreign[3]: "", damaged: "{", later: `{"version":9}`} {
			if err := storage.Store(t.Context(), name, []byte(content)); err != nil {
				t.Fatal(err)
			}
		}
		for range 30 { // hours
			time.Sleep(time.Hour)
			alive = in.refreshed(alive.RefreshToken)
		}
		if n := len(storage.names()); n != 6+len(foreign)+2 {
			t.Fatalf("%d names before", n)
		}
		in.obtain()
		time.Sleep(time.Second)
		left := storage.names()
		if len(left) != 2+len(foreign)+1 {
			t.Errorf("left: %v", left)
		}
		for _, name := range append(foreign, later) {
			if !strings.Contains(strings.Join(left, " "), name) {
				t.Errorf("%s is gone", name)
			}
		}
		if in.refreshed(alive.RefreshToken); in.lastReason() != "" {
			t.Error("the family that was refreshed is gone")
		}
	})
}

func TestSweepIsRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		for range 120 {
			in.obtain()
			time.Sleep(time.Minute)
		}
		if n := storage.count("list"); n < 7 || n > 9 {
			t.Errorf("%d sweeps in two hours", n)
		}
	})
}

func TestSweepIsBounded(t *testing.T) {
	storage := newMemory()
	st := storeOn(storage)
	const records = 2*maxSwept + 10
	for n := range records {
		of := lineage{family: familyID{5: byte(n), 6: byte(n >> 8)}}
		if err := st.save(t.Context(), of, &record{Version: 1, Generation: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for left := records; left > 0; left -= maxSwept {
		gone, err := st.sweep(t.Context(), time.Now())
		if err != nil || gone != min(left, maxSwept) {
			t.Fatalf("%d deleted of %d, %v", gone, left, err)
		}
	}
}

func TestSweepFails(t *testing.T) {
	for _, op := range []string{"list", "load", "delete"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inOurDays(t)
				storage := newMemory()
				in := start(t, storage)
				in.obtain()
				time.Sleep(48 * time.Hour)
				storage.fault(fails, op)
				st := in.store()
				gone, err := st.sweep(t.Context(), time.Now())
				if gone != 0 || (err == nil) != (op == "load") {
					t.Errorf("%d, %v", gone, err)
				}
			})
		})
	}
}

func TestSweepFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := &certmagic.FileStorage{Path: t.TempDir()}
		in := start(t, storage)
		in.obtain()
		time.Sleep(48 * time.Hour)
		keep := in.obtain()
		time.Sleep(time.Minute)
		names, err := storage.List(t.Context(), "issuer", true)
		if err != nil || len(names) != 1 {
			t.Errorf("left: %v, %v", names, err)
		}
		if !start(t, storage).takes(keep.AccessToken) {
			t.Error("the token doesn't open elsewhere")
		}
	})
}
