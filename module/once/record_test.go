package once

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/module/storage"
)

func TestARecordIsKept(t *testing.T) {
	m := newMemory()
	s := newStore(m)
	r := answered(newRecord("13800138000", "a"))
	r.Status = 201
	if err := s.Save(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	got := s.mustLoad(t, "13800138000")
	if got == nil || got.Attempt != "a" || got.Request != r.Request || got.Outcome != call.OK || got.Status != 201 ||
		string(got.Answer) != string(r.Answer) || !got.Sent.Equal(r.Sent) || !got.Expires.Equal(r.Expires) {
		t.Errorf("%+v", got)
	}
	for name, b := range m.data {
		if !isRecordName(name) {
			t.Errorf("the name %s isn't taken for a record's", name)
		}
		if bytes.Contains(b, []byte("138001")) || bytes.Contains(b, []byte("T-1")) || strings.Contains(name, "138") {
			t.Errorf("in clear: %s %s", name, b)
		}
	}
	if r := s.mustLoad(t, "13800138001"); r != nil {
		t.Errorf("another key has %+v", r)
	}
	if r, err := NewStore(m, "order", sealKey, zap.NewNop()).Load(t.Context(), "13800138000"); r != nil || err != nil {
		t.Errorf("another api has %+v, %v", r, err)
	}
}

// An answer of the largest size is kept, whatever it consists of.
func TestTheLargestAnswer(t *testing.T) {
	s := newStore(newMemory())
	for _, char := range []string{"a", "<", "&", "é"} {
		r := answered(newRecord(strings.Repeat("k", MaxKey), "a"))
		r.Answer = []byte(`"` + strings.Repeat(char, (MaxAnswer-2)/len(char)) + `"`)
		if err := s.Save(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if got := s.mustLoad(t, r.Key); string(got.Answer) != string(r.Answer) {
			t.Errorf("%q: the answer differs", char)
		}
	}
}

func TestARecordExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(newMemory())
		r := newRecord("k", "a")
		s.mustClaim(t, r)
		time.Sleep(time.Hour - time.Nanosecond)
		if s.mustLoad(t, "k") == nil {
			t.Error("expired early")
		}
		time.Sleep(time.Nanosecond)
		if got := s.mustLoad(t, "k"); got != nil {
			t.Errorf("not expired: %+v", got)
		}
		if err := s.Save(t.Context(), answered(r)); !errors.Is(err, ErrExpired) {
			t.Errorf("saving an expired record: %v", err)
		}
		s.mustClaim(t, newRecord("k", "b"))
	})
}

func TestUnderWay(t *testing.T) {
	r := newRecord("k", "a")
	if !r.UnderWay(r.Sent) || r.UnderWay(r.Until) || answered(r).UnderWay(r.Sent) {
		t.Error("UnderWay")
	}
}

// What can't be read may be a write that was sent.
func TestUnreadableRecords(t *testing.T) {
	edit := func(at int, by ...byte) func(b []byte) []byte {
		return func(b []byte) []byte { return append(append(slices.Clone(b[:at]), by...), b[at+len(by):]...) }
	}
	expiry := func(in time.Duration) []byte {
		return binary.BigEndian.AppendUint64(nil, uint64(time.Now().Add(in).UnixNano()))
	}
	for name, change := range map[string]func(b []byte) []byte{
		"cut off":           func(b []byte) []byte { return b[:len(b)/2] },
		"empty":             func([]byte) []byte { return []byte{} },
		"not JSON":          func([]byte) []byte { return []byte("<html>") },
		"too large":         func(b []byte) []byte { return append(b, make([]byte, maxRecord)...) },
		"only a header":     func(b []byte) []byte { return b[:fileHeader] },
		"another version":   edit(len(fileMark)-1, 2),
		"a later expiry":    edit(len(fileMark), expiry(2*time.Hour)...),
		"an earlier expiry": edit(len(fileMark), expiry(-time.Hour)...),
		"another seal":      edit(fileHeader+30, 'x', 'y', 'z'),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			s := newStore(m)
			s.mustClaim(t, newRecord("k", "a"))
			m.data[s.nameOf("k")] = change(m.data[s.nameOf("k")])
			if r, err := s.Load(t.Context(), "k"); r != nil || !errors.Is(err, ErrUnreadable) {
				t.Errorf("loading: %+v, %v", r, err)
			}
			if r, err := s.Claim(t.Context(), newRecord("k", "b"), time.Second, never); r != nil || !errors.Is(err, ErrUnreadable) {
				t.Errorf("claiming: %+v, %v", r, err)
			}
			if existed, err := s.Forget(t.Context(), "k"); !existed || err != nil {
				t.Errorf("forgetting: %v, %v", existed, err)
			}
			s.mustClaim(t, newRecord("k", "b"))
		})
	}
}

// A record of other credentials counts until it expires.
func TestRecordsOfOtherCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		newStore(m).mustClaim(t, newRecord("k", "a"))
		other := NewStore(m, "ticket", [32]byte{9}, zap.NewNop())
		if r, err := other.Load(t.Context(), "k"); r != nil || !errors.Is(err, ErrUnreadable) || !errors.Is(err, storage.ErrForeignKey) {
			t.Errorf("loading: %+v, %v", r, err)
		}
		time.Sleep(time.Hour)
		if r, err := other.Load(t.Context(), "k"); r != nil || err != nil {
			t.Errorf("once it has expired: %+v, %v", r, err)
		}
	})
}

// A record that was moved doesn't open under its new name.
func TestAMovedRecord(t *testing.T) {
	m := newMemory()
	s := newStore(m)
	s.mustClaim(t, newRecord("k", "a"))
	m.put(s.nameOf("other"), m.data[s.nameOf("k")])
	if r, err := s.Load(t.Context(), "other"); r != nil || !errors.Is(err, ErrUnreadable) {
		t.Errorf("%+v, %v", r, err)
	}
}

// A record of another version was sealed by another release.
func TestARecordOfAnotherVersion(t *testing.T) {
	m := newMemory()
	s := newStore(m)
	r := newRecord("k", "a")
	b, err := s.seal(r, s.nameOf("k"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.sealer.OpenBytes(b[fileHeader:], s.nameOf("k"))
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte(`"version":1`), []byte(`"version":2`), 1)
	m.put(s.nameOf("k"), append(b[:fileHeader:fileHeader], s.sealer.SealBytes(text, s.nameOf("k"))...))
	if r, err := s.Load(t.Context(), "k"); r != nil || !errors.Is(err, ErrUnreadable) || !errors.Is(err, storage.ErrVersion) {
		t.Errorf("%+v, %v", r, err)
	}
}

// Whatever is in the storage is a record, none, or one that can't be read.
func FuzzOpenRecord(f *testing.F) {
	s := newStore(newMemory())
	name := s.nameOf("k")
	r := newRecord("k", "a")
	r.Expires = time.Now().Add(24 * 365 * time.Hour)
	good, err := s.seal(r, name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:fileHeader])
	f.Add(append([]byte(fileMark), make([]byte, 16)...))
	f.Add([]byte(fileMark))
	now := time.Now()
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := s.open(b, name, now)
		switch {
		case err != nil && (r != nil || !errors.Is(err, ErrUnreadable)):
			t.Errorf("%+v, %v", r, err)
		case r != nil && (r.Key != "k" || !now.Before(r.Expires)):
			t.Errorf("opened %+v", r)
		}
	})
}
