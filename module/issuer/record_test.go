package issuer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/module/storage"
)

// What lies in the storage is a record or is refused, in words of ours; a record
// that is stored again says the same.
func FuzzDecodeRecord(f *testing.F) {
	first := new(record).next(time.UnixMilli(1795435200000), time.Hour)
	for _, r := range []*record{first, first.next(time.UnixMilli(1795435300000), time.Hour), first.revoked()} {
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"version":2,"generation":1}`))
	f.Add([]byte(`{"version":1,"generation":0}`))
	f.Add([]byte(`{"version":1,"generation":4294967296}`))
	f.Add([]byte(`{"version":1,"generation":1,"issued":"s3cret"}`))
	f.Add([]byte(`{"version":1,"generation":1} {"version":1}`))
	f.Add([]byte(`null`))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			if r != nil || !errors.Is(err, storage.ErrDamaged) && !errors.Is(err, storage.ErrVersion) {
				t.Fatalf("%v, %v", r, err)
			}
			return
		}
		if r.Version != recordVersion || r.Generation == 0 {
			t.Fatalf("took %q for %+v", b, r)
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := decodeRecord(again); err != nil || *same != *r {
			t.Fatalf("%+v became %+v, %v", r, same, err)
		}
	})
}

// The sweep goes by the hours in records' names: ours have one, and nothing else
// in the storage is taken for a record.
func FuzzHourOf(f *testing.F) {
	of := lineage{family: newFamily(time.UnixMilli(1795435200000), "sign")}
	f.Add(store{issuer: "partners"}.name(of), uint32(498732))
	f.Add("issuer/"+strings.Repeat("0", 56), uint32(0))
	f.Add(strings.Repeat("f", 56), uint32(1<<32-1))
	f.Add("issuer/issuer/"+strings.Repeat("0", 49), uint32(1))
	f.Add("issuer/"+strings.Repeat("0", 54)+".x", uint32(2))
	f.Add("oauth/"+strings.Repeat("0", 64), uint32(3))
	f.Add("", uint32(4))
	f.Fuzz(func(t *testing.T, name string, hour uint32) {
		digits := strings.TrimPrefix(name, storePrefix)
		got, ok := hourOf(name)
		if want := len(digits) == hourDigits+digestDigits && strings.Trim(digits, "0123456789abcdefABCDEF") == ""; ok != want {
			t.Fatalf("%q is a record's name: %v, want %v", name, ok, want)
		}
		if ok && fmt.Sprintf("%08x", got) != strings.ToLower(digits[:hourDigits]) {
			t.Fatalf("%q: hour %x", name, got)
		}
		if ours, ok := hourOf(store{issuer: name}.name(lineage{family: newFamily(time.Unix(int64(hour)*3600, 0), name)})); !ok || ours != hour {
			t.Fatalf("hour %d reads as %d, %v", hour, ours, ok)
		}
	})
}
