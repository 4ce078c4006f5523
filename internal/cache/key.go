package cache

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Key is a keyed digest of what an answer depends on; [Cache.Key] makes it. Who
// has a key, but not the cache, can't find out what it was made of by trying.
type Key [sha256.Size]byte

// AppendPart appends one part of what an answer depends on to dst: its length,
// then its bytes. Different lists of parts never become the same bytes, however
// the parts are cut.
func AppendPart(dst []byte, part string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(part)))
	return append(dst, part...)
}

// Key returns the key of what an answer depends on, which the caller has
// written down in one way only: best with [AppendPart]. It doesn't allocate and
// keeps nothing of it.
func (c *Cache) Key(canonical []byte) (k Key) {
	m := c.macs.Get().(*mac)
	m.hash.Reset()
	for len(canonical) > 0 { // by way of a buffer, so that the caller's may be on the stack
		n := copy(m.block[:], canonical)
		m.hash.Write(m.block[:n])
		canonical = canonical[n:]
	}
	copy(k[:], m.hash.Sum(m.block[:0]))
	clear(m.block[:])
	c.macs.Put(m)
	return k
}

// mac is HMAC-SHA256 with the memory for one block.
type mac struct {
	hash  hash.Hash
	block [256]byte
}

func newMAC(secret []byte) *mac { return &mac{hash: hmac.New(sha256.New, secret)} }
