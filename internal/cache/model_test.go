package cache

import (
	"bytes"
	"fmt"
	"testing"
)

// Whatever is done in whatever order: Get gives the latest entry of a key or
// nothing, and after Wait an entry that was taken into a cache with room.
func FuzzOperations(f *testing.F) {
	f.Add([]byte{0, 0, 10, 0, 5, 0})
	f.Add([]byte{0, 1, 2, 3, 10, 15, 20, 0, 25, 1, 2})
	f.Add([]byte{0, 20, 0, 25, 15, 0, 5, 10, 0, 10})
	f.Add(bytes.Repeat([]byte{0, 1, 1, 1}, 1000)) // faster than they are taken in
	f.Fuzz(func(t *testing.T, operations []byte) {
		c := newCache(t, MinSize)
		keys := [5]Key{}
		for i := range keys {
			keys[i] = c.key(fmt.Sprint(i))
		}
		copy(keys[4][:8], keys[3][:8]) // these two share a slot
		var latest [5]string
		waited := false
		for n, operation := range operations {
			i := int(operation) % len(keys)
			group := fmt.Sprint(i % 2)
			switch operation / 5 % 6 {
			case 0:
				latest[i], waited = fmt.Sprint(n), false
				if !c.Put(group, keys[i], entry(latest[i])) { // too fast
					latest[i] = ""
				}
			case 1:
				c.Wait()
				waited = true
			case 2:
				c.Delete(keys[i])
				latest[i] = ""
			case 3:
				c.PurgeGroup(group)
				for j := range latest {
					if fmt.Sprint(j%2) == group {
						latest[j] = ""
					}
				}
			case 4:
				c.Purge()
				latest = [5]string{}
			case 5:
				_ = c.Stats()
			}
			for j, k := range keys {
				got := c.text(k)
				if got != "" && got != latest[j] {
					t.Fatalf("operation %d: key %d gives %q, not %q", n, j, got, latest[j])
				}
				if j < 3 && waited && got != latest[j] {
					t.Fatalf("operation %d: key %d gives %q after Wait, not %q", n, j, got, latest[j])
				}
			}
		}
		_ = c.Destruct()
	})
}
