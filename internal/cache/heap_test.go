package cache

import (
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
)

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools held
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The size is one of heap, however small the answers are.
func TestHeap(t *testing.T) {
	const size = 16 << 20
	for _, length := range []int{10, 100, 1000, 10_000} {
		before := heap()
		c := newCache(t, size)
		text := strings.Repeat("x", length)
		for i := range 2 * size / (length + overhead) {
			c.Put("g", c.Key(binary.AppendUvarint(nil, uint64(i))), entry(text))
			if i%1000 == 0 {
				c.Wait()
			}
		}
		c.Wait()
		s, took := c.Stats(), heap()-before
		t.Logf("%d bytes: %d entries, %.2f of the size, %d each", length, s.Entries, float64(took)/size, took/s.Entries)
		if took > size*3/2 {
			t.Errorf("answers of %d bytes take %.2f times the size", length, float64(took)/size)
		}
		if took < size/2 {
			t.Errorf("answers of %d bytes leave more than half of the size empty", length)
		}
		c.Purge()
		if left := heap() - before; left > size/16 {
			t.Errorf("%d bytes are left after a purge", left)
		}
		runtime.KeepAlive(c)
	}
}

// What is put faster than it is taken in doesn't add to the size.
func TestHeapOfABurst(t *testing.T) {
	const size = 2 << 20
	c := newCache(t, size)
	before := heap()
	e := entry(strings.Repeat("x", size/32))
	for i := range 2000 {
		c.Put("g", c.Key(binary.AppendUvarint(nil, uint64(i))), e)
		c.store.pending.mu.Lock()
		waiting := c.store.pending.bytes
		c.store.pending.mu.Unlock()
		if waiting > size/8 {
			t.Fatalf("%d bytes wait", waiting)
		}
	}
	c.Wait()
	if took := heap() - before; took > size*3/2 {
		t.Errorf("%.2f times the size", float64(took)/size)
	}
}

func TestEmptyCostsLittle(t *testing.T) {
	goroutines, before := runtime.NumGoroutine(), heap()
	c := newCache(t, 0)
	if took := heap() - before; took > 64<<10 || runtime.NumGoroutine() > goroutines {
		t.Errorf("%d bytes and %d goroutines", took, runtime.NumGoroutine()-goroutines)
	}
	c.Put("g", c.key("a"), entry("text"))
	c.Wait()
	took := heap() - before
	t.Logf("with one entry: %d KiB", took>>10)
	if took > DefaultSize/16 {
		t.Errorf("%d bytes for one entry", took)
	}
}
