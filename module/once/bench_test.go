package once

import (
	"testing"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// BenchmarkLoad is a record that is read from disk. BenchmarkRead is the part of it that
// is the storage's.
func BenchmarkLoad(b *testing.B) {
	s, _ := onDisk(b)
	b.ReportAllocs()
	for b.Loop() {
		if r, err := s.load(b.Context(), "k"); r == nil || err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	s, disk := onDisk(b)
	name := s.nameOf("k")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := disk.Load(b.Context(), name); err != nil {
			b.Fatal(err)
		}
	}
}

func onDisk(b *testing.B) (*Store, *certmagic.FileStorage) {
	b.Helper()
	disk := &certmagic.FileStorage{Path: b.TempDir()}
	s := NewStore(disk, "ticket", sealKey, zap.NewNop())
	if err := s.Save(b.Context(), answered(newRecord("k", "a"))); err != nil {
		b.Fatal(err)
	}
	return s, disk
}
