package cache

import (
	"bytes"
	"testing"
)

func BenchmarkKey(b *testing.B) {
	c := newCache(b, 0)
	canonical := bytes.Repeat([]byte("x"), 100)
	b.ReportAllocs()
	for b.Loop() {
		c.Key(canonical)
	}
}

func BenchmarkGet(b *testing.B) {
	c := newCache(b, 0)
	k := c.key("a")
	c.Put("g", k, entry("text"))
	c.Wait()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.Get(k); !ok {
			b.Fatal("a miss")
		}
	}
}

func BenchmarkPut(b *testing.B) {
	c := newCache(b, 0)
	k, e := c.key("a"), entry(string(bytes.Repeat([]byte("x"), 1000)))
	b.ReportAllocs()
	for b.Loop() {
		c.Put("g", k, e)
	}
}
