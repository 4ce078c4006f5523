package keeper

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

func TestRecordKeepsEverything(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
	r := record{
		Version: recordVersion, Generation: 7, Obtained: at, Expires: at.Add(time.Hour),
		Access: "a", Refresh: "r", Keep: map[string]any{"n": json.Number("9007199254740993")},
		Assumed: true, Spent: at, CallAt: at, CallBy: "i", Dead: true, Suspect: true, Died: at, Deaths: 2,
		Learned: time.Minute, LearnedAt: at, RefusedUntil: at, RefusedCount: 3, Skew: -time.Minute,
	}
	for n, v := 0, reflect.ValueOf(r); n < v.NumField(); n++ {
		if v.Field(n).IsZero() {
			t.Errorf("%s isn't tested", v.Type().Field(n).Name)
		}
	}
	b, err := r.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeRecord(b)
	if err != nil || !reflect.DeepEqual(*got, r) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, r)
	}
}

func TestRefuse(t *testing.T) {
	tests := map[string]struct {
		age     time.Duration
		r       record
		learned time.Duration
		unsure  bool
	}{
		"assumed lifetime": {age: time.Hour, r: record{Assumed: true}, learned: 54 * time.Minute},
		"stated, first":    {age: time.Hour},
		"stated, second":   {age: time.Hour, r: record{Deaths: 1}, learned: 54 * time.Minute},
		"near its end":     {age: 96 * time.Minute, r: record{Assumed: true, Deaths: 5}},
		"beyond its end":   {age: 3 * time.Hour, r: record{Assumed: true, Deaths: 5}},
		"very young":       {age: 59 * time.Second, r: record{Assumed: true, Deaths: 5}},
		"not sure":         {age: time.Hour, r: record{Assumed: true, Deaths: 5}, unsure: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := tt.r
			r.Obtained, r.Expires = time.Unix(0, 0), time.Unix(7200, 0)
			if got := r.markDead(r.Obtained.Add(tt.age), !tt.unsure); got != tt.learned {
				t.Errorf("learned %v, want %v", got, tt.learned)
			}
			if !r.Dead || r.Suspect {
				t.Errorf("dead %v, suspect %v", r.Dead, r.Suspect)
			}
		})
	}
}

func TestRecordThatCannotBeEncoded(t *testing.T) {
	r := record{Keep: map[string]any{"f": func() {}}}
	if err := newStore(newMemory(), new(testPolicy())).save(t.Context(), &r); err == nil {
		t.Error("no error")
	}
}

// FuzzDecodeRecord: what is inside the seal comes from another version of the
// program at worst.
func FuzzDecodeRecord(f *testing.F) {
	good, err := (&record{Generation: 1, Access: "a", Keep: map[string]any{"k": 1.5}}).encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":1,"obtained":"yesterday"}`))
	f.Add([]byte(`{"version":1,"keep":[]}`))
	f.Add([]byte(`{"version":1} {}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		again, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		if same, err := decodeRecord(again); err != nil || !reflect.DeepEqual(same, r) {
			t.Errorf("%+v became %+v, %v", r, same, err)
		}
	})
}

// A record that an earlier version has stored is found and read: neither its key nor
// its format nor the lock's name may change.
func TestRecordOfAnEarlierVersion(t *testing.T) {
	const (
		key    = "oauth/784650c07907b8510b4de55634b8b24558083ac0c2fa9fc49438d695b8b8eca8"
		lock   = "oauth/3f6a2e142095a8562bdca73f3c1ccb3d402e2ec28adb59b9adb4d4b44edfbd58"
		stored = `{"version":1,"key":"93c03f9f","sealed":"S+bUOJQxph8hJahg8PWHycr9zPtH7reh6zNYsQ9TgQRQBxhClUATPveIv4KpL900Lg8S0dZc+uhWkG0irM0YY0UuJs6igV9RM4NmgfpUk8a9uphwG18BVJAY8LTkzgfZDUPzC33zcZ//7UM2rdAfxZUqr/N51RV6Ca5O9Oyfe6YC3RTt9XhrkTkqJk8pfVcgS4jYjXij69aotRU+aRM4gDUJ3hOpv7ZF7qvd5qp9wM11kBFZqpe5+bgPvpJ2drPELORA/ESKAS3yxXZiI8JSO6mBMu88oKVeZUjfg5skBKds8YLb1bzMf9iA0vrQXpTF6fbtXs39lBsCONjW/mpxag=="}`
	)
	s, p := newMemory(), testPolicy()
	s.data[key] = []byte(stored)
	st := newStore(s, &p)
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	want := &record{
		Version: 1, Generation: 7, Obtained: at, Expires: at.Add(2 * time.Hour), Access: "access-7", Refresh: "refresh-7",
		Keep: map[string]any{"base": "https://eu.example.com"}, CallAt: at, CallBy: "another",
	}
	if r, err := st.load(t.Context()); err != nil || !reflect.DeepEqual(r, want) || st.lockName != lock {
		t.Errorf("lock %s, got %+v, %v\nwant %+v", st.lockName, r, err, want)
	}
}
