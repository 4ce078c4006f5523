// Package jsonval is the JSON values that programs work with: how documents are
// decoded and encoded, and how much of them there may be.
//
// A value is nil, a bool, a string, a number (json.Number as it came, int, float64 or
// *big.Int where something has computed it), []any or map[string]any. Values are
// shared and never changed.
//
// Documents come from anybody. So each is bounded in bytes, depth and number of
// values before memory is taken for it, and the large ones of all calls share a
// bounded memory, a [Room] for each call. No error holds a part of a document.
package jsonval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Why a document could not be decoded or encoded.
var (
	// ErrDeadline: the context ended while it was decoded.
	ErrDeadline = errors.New("took too long")
	// ErrTooLarge: it is over a limit.
	ErrTooLarge = errors.New("too large")
	// ErrTooMuch: it takes more memory than any may. It is an ErrTooLarge.
	ErrTooMuch = fmt.Errorf("%w: it takes too much memory once it is decoded", ErrTooLarge)
	// ErrNoRoom: the context ended before there was memory for it.
	ErrNoRoom = errors.New("no memory was free in time")
	// ErrSyntax: it is not JSON, or more than one document.
	ErrSyntax = errors.New("not one JSON document")
	// ErrEmpty: it is blank.
	ErrEmpty = errors.New("empty document")
	// ErrNotJSON: JSON can't write the value.
	ErrNotJSON = errors.New("not JSON")
)

// Limits bound a JSON document. Zero fields take the defaults.
type Limits struct {
	// Room is what the memory of a decoded document is reserved in, for a Purpose,
	// before it is taken; its context ends decoding. Default: neither.
	Room    *Room
	Purpose Purpose

	Bytes int // of the document; default 1 MiB
	Depth int // of nested arrays and objects; default 1000, at most 10 000
	Nodes int // values in the document; default 1,000,000
}

// A Meter counts steps of work. It may panic to end it.
type Meter interface{ Step(n int) }

// Limits where none are given. MaxNumber always holds: a longer literal of a number
// takes quadratic time as soon as something is computed with it.
const (
	MaxBytes  = 1 << 20
	MaxDepth  = 1000      // of nested arrays and objects
	MaxNodes  = 1_000_000 // values in a document, shared ones counted each time
	MaxNumber = 64        // characters of a number
)

// OrDefaults returns the limits with defaults for those that are 0.
func (l Limits) OrDefaults() Limits {
	l.Bytes = cmp.Or(l.Bytes, MaxBytes)
	l.Depth = min(cmp.Or(l.Depth, MaxDepth), 10_000) // both directions recurse
	l.Nodes = cmp.Or(l.Nodes, MaxNodes)
	return l
}

// smallDocument is the size of documents in bytes that need no room, by purpose. An
// answer is decoded and used in one go, so that there are few at a time; what a
// caller sent is held until the call ends. Such a document takes 70 times its size
// at most.
func (l Limits) smallDocument() int {
	if l.Purpose == ForAnswer {
		return 4 << 10
	}
	return uncounted / 70
}

// reserve reserves the memory of a document, and of a copy of it where it is
// copied.
func (l Limits) reserve(s string, copies bool) error {
	if l.Room == nil || len(s) <= l.smallDocument() {
		return nil
	}
	size := decodedSize(s)
	if copies {
		size += int64(len(s))
	}
	return l.Room.Reserve(l.Purpose, size)
}

// Any reports whether f is true of any value in v, v itself included. It gives members
// of objects with their key, and others with "".
func Any(v any, f func(key string, v any) bool) bool { return anyIn("", v, f) }

func anyIn(key string, v any, f func(key string, v any) bool) bool {
	if f(key, v) {
		return true
	}
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return anyIn("", item, f) })
	case map[string]any:
		for key, member := range v {
			if anyIn(key, member, f) {
				return true
			}
		}
	}
	return false
}

// The memory that large documents share, in bytes. Go's collector lets the heap
// grow to twice of what is in use, so the process takes about twice as much.
const (
	maxBodies   = 6 << 20   // bodies of requests, as they were sent
	maxRequests = 16 << 20  // those, and the values that are made of them
	maxTexts    = 8 << 20   // answers, as they came
	maxShared   = 24 << 20  // all of that, and the values that are made of answers
	maxLast     = 112 << 20 // beside these, what one call may hold when the rest is full

	// maxRequest is what one request may take once it is decoded. Rows of 1 MiB take
	// 8 MiB.
	maxRequest = 10 << 20
	// uncounted is what a document may take without being counted. A connection
	// takes as much.
	uncounted = 32 << 10
)

// Purpose says what memory is for.
type Purpose int

// The purposes of memory. What a call needs later may use more of it, so that
// calls that have begun can end.
const (
	ForAnswer  Purpose = iota // values made of an API's answer
	ForText                   // an answer as it came
	ForRequest                // values made of a request
	ForBody                   // a request's body as it was sent
)

// A Room is the memory that the large documents of one call take. It is counted
// before it is taken, over all calls of the process. The zero Room is empty; it
// belongs to one goroutine. A nil Room counts nothing.
type Room struct {
	// Context ends waiting and decoding. Required.
	Context context.Context //nolint:containedctx // that of the one call

	taken *taken // nil until there is something
}

// taken is what one room holds.
type taken struct {
	held    [ForBody + 1]int64 // of what is shared
	last    int64              // of maxLast
	collect bool               // what another call held of maxLast may still be in the heap
}

// Reserve waits until there are n more bytes for a purpose. The error is
// [ErrTooMuch] where there can never be so many, and [ErrNoRoom] when the
// context ends first. Little memory needs no room.
func (r *Room) Reserve(purpose Purpose, n int64) error {
	if r == nil || n <= uncounted {
		return nil
	}
	if r.taken == nil {
		r.taken = new(taken)
	}
	most := int64(maxLast)
	switch purpose {
	case ForRequest:
		most = maxRequest
	case ForBody:
		most = maxBodies
	case ForAnswer, ForText:
		most -= r.taken.held[ForAnswer] + r.taken.held[ForText] + r.taken.last
	}
	if n > most {
		return ErrTooMuch
	}
	if !memory.take(r.taken, purpose, n) {
		if err := r.wait(purpose, n); err != nil {
			return err
		}
	}
	if r.taken.collect {
		r.taken.collect = false
		runtime.GC()
	}
	return nil
}

// ReserveText reserves n bytes for an answer as it came.
func (r *Room) ReserveText(n int) error { return r.Reserve(ForText, int64(n)) }

func (r *Room) wait(purpose Purpose, n int64) error {
	memory.crowd(1)
	defer memory.crowd(-1)
	for {
		freed := memory.nextRelease()
		if memory.take(r.taken, purpose, n) {
			return nil
		}
		select {
		case <-freed:
		case <-r.Context.Done():
			return ErrNoRoom
		}
	}
}

// Return gives back n bytes that [Room.Reserve] has reserved. It ignores what needed
// no room.
func (r *Room) Return(purpose Purpose, n int64) {
	if r == nil || r.taken == nil || n <= uncounted {
		return
	}
	memory.put(r.taken, purpose, n)
}

// Release gives everything back.
func (r *Room) Release() {
	if r == nil || r.taken == nil {
		return
	}
	memory.mu.Lock()
	defer memory.mu.Unlock()
	for purpose, n := range r.taken.held {
		memory.used[purpose] -= n
	}
	if memory.last == r.taken {
		memory.endTurn()
	}
	r.taken = nil
	memory.wake()
}

// stopped reports whether the time for decoding is over.
func (r *Room) stopped() bool { return r != nil && r.Context.Err() != nil }

// budget is the memory of all rooms.
//
// A call reserves what it needs step by step, and holds on to it. So that calls
// never wait for each other, one at a time may go beyond what is shared, as far as
// any call may; it ends, and then it is another one's turn. What it left is collected
// first, because the heap would grow by what several left, faster than the collector
// notices.
type budget struct {
	mu    sync.Mutex
	used  [ForBody + 1]int64
	last  *taken        // whose turn it is; nil for nobody's
	left  bool          // somebody's turn has ended, and nobody collected what it left
	freed chan struct{} // closed when memory has been given back; nil when nobody waits

	waiting int          // how many wait
	since   atomic.Int64 // since when somebody does, in ns after started; 0 for nobody
	crowded atomic.Int64 // how long somebody has, before
}

var (
	memory  budget
	started = time.Now().Add(-time.Nanosecond)
)

// Crowded is for how long, since the process began, there has been a call that
// waited for room. What takes long while that grows says little of others.
func Crowded() time.Duration {
	total := memory.crowded.Load()
	if since := memory.since.Load(); since != 0 {
		total += int64(time.Since(started)) - since
	}
	return time.Duration(total)
}

func (b *budget) crowd(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := int64(time.Since(started))
	if b.waiting == 0 {
		b.since.Store(now)
	}
	if b.waiting += n; b.waiting == 0 {
		b.crowded.Add(now - b.since.Load())
		b.since.Store(0)
	}
}

// take reserves n bytes, if they are there.
func (b *budget) take(r *taken, purpose Purpose, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	bodies := b.used[ForBody]
	requests := bodies + b.used[ForRequest]
	fits := requests+b.used[ForText]+b.used[ForAnswer]+n <= maxShared
	switch purpose {
	case ForBody:
		fits = fits && bodies+n <= maxBodies
	case ForRequest:
		fits = fits && requests+n <= maxRequests
	case ForAnswer, ForText:
		if purpose == ForText {
			fits = fits && b.used[ForText]+n <= maxTexts
		}
		if !fits && (b.last == nil || b.last == r) {
			if b.last == nil {
				b.last, r.collect, b.left = r, b.left, false
			}
			r.last += n
			return true
		}
	}
	if fits {
		b.used[purpose] += n
		r.held[purpose] += n
	}
	return fits
}

// put gives n bytes back.
func (b *budget) put(r *taken, purpose Purpose, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if purpose <= ForText && r.last > 0 {
		of := min(n, r.last)
		n -= of
		if r.last -= of; r.last == 0 {
			b.endTurn()
		}
	}
	n = min(n, r.held[purpose])
	r.held[purpose] -= n
	b.used[purpose] -= n
	b.wake()
}

func (b *budget) endTurn() {
	b.last, b.left = nil, true
}

// wake lets all who wait look again.
func (b *budget) wake() {
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// nextRelease is closed when memory has been given back after the call of it.
func (b *budget) nextRelease() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	return b.freed
}

// AppendRoom makes room in b for n more bytes, which it reserves. Known is how
// long b will be at most, 0 for nobody knows; reserved is what was reserved for b.
func (r *Room) AppendRoom(b []byte, n int, known, reserved int64) ([]byte, int64, error) {
	if cap(b)-len(b) >= n {
		return b, reserved, nil
	}
	size := max(int64(len(b)+n), known, 2*int64(cap(b)), 512)
	if err := r.Reserve(ForText, size); err != nil {
		return b, reserved, err
	}
	grown := append(make([]byte, 0, size), b...)
	r.Return(ForText, reserved)
	return grown, size, nil
}
