package storage

import (
	"bytes"
	"errors"
	"testing"
)

func TestSeal(t *testing.T) {
	s, record := NewSealer([32]byte{1}), []byte("a record")
	b, err := s.Seal(record, "key")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Open(b, "key"); err != nil || !bytes.Equal(got, record) {
		t.Errorf("got %q, %v", got, err)
	}
	if again, _ := s.Seal(record, "key"); bytes.Equal(b, again) {
		t.Error("sealing twice gives the same bytes: the nonce is not random")
	}
	if _, err := s.Open(b, "another key"); err == nil {
		t.Error("a record that was moved opens")
	}
	if _, err := NewSealer([32]byte{2}).Open(b, "key"); !errors.Is(err, ErrForeignKey) {
		t.Errorf("another key gives %v", err)
	}
}

// Whatever lies in the storage: an error or a record, no panic, and the error
// quotes nothing of it.
func FuzzOpen(f *testing.F) {
	s := NewSealer([32]byte{1})
	good, err := s.Seal([]byte("canary"), "key")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":1,"key":"` + s.fingerprint + `","sealed":"AAAA"}`))
	f.Add([]byte(`{"version":1e9}`))
	f.Add([]byte("null"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		record, err := s.Open(b, "key")
		if (record == nil) == (err == nil) {
			t.Fatalf("record %q, error %v", record, err)
		}
		if err == nil && string(record) != "canary" {
			t.Error("a forged record was opened")
		}
	})
}

func TestSealBytes(t *testing.T) {
	s, record := NewSealer([32]byte{1}), []byte("a record")
	b := s.SealBytes(record, "key")
	if got, err := s.OpenBytes(b, "key"); err != nil || !bytes.Equal(got, record) {
		t.Errorf("got %q, %v", got, err)
	}
	for name, tc := range map[string]struct {
		sealer *Sealer
		b      []byte
		key    string
		want   error
	}{
		"moved":       {s, b, "another key", ErrDamaged},
		"foreign":     {NewSealer([32]byte{2}), b, "key", ErrForeignKey},
		"cut off":     {s, b[:len(b)-1], "key", ErrDamaged},
		"only a name": {s, b[:8], "key", ErrDamaged},
		"nothing":     {s, nil, "key", ErrDamaged},
	} {
		if got, err := tc.sealer.OpenBytes(tc.b, tc.key); got != nil || !errors.Is(err, tc.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
