package jq

import "golang.org/x/sync/semaphore"

const (
	// budget is the memory of all documents that are being worked on, perByte
	// what a byte of JSON can take once it is decoded (reliability 1.3).
	budget  = 512 << 20
	perByte = 50
	// small documents need no reservation: a thousand of them fit.
	smallDocument = 64 << 10
)

var memory = semaphore.NewWeighted(budget)

// Reserve asks for the memory that n bytes of JSON take once decoded, out of
// 512 MiB for the whole process. It does not wait: without ok the document has
// to be refused. Call release, once, when the decoded value is no longer in use;
// it is never nil.
func Reserve(n int) (release func(), ok bool) {
	if n < smallDocument {
		return func() {}, true
	}
	if n > budget/perByte || !memory.TryAcquire(int64(n)*perByte) {
		return func() {}, false
	}
	return func() { memory.Release(int64(n) * perByte) }, true
}
