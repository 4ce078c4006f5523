package model

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"
)

// history is what the model knows of the answers that caches may hold.
type history struct {
	mu     sync.Mutex
	shared map[string][]expected // what calls of a key may have been answered with
	lanes  map[string]expected   // the last answer about a key of laneCache
}

func newHistory() *history {
	return &history{shared: map[string][]expected{}, lanes: map[string]expected{}}
}

// cacheKey is the `key` of a cached route, for one reading of the params.
func (c *call) cacheKey() string {
	b, _ := json.Marshal(c.params[0]["tel"])
	return c.route.name + " " + string(b)
}

// begin says how a call may end, cached answers included.
func (h *history) begin(c *call) []expected {
	all := expect(c)
	incomplete := func(e expected) bool { return e.outcome == "incomplete" || e.outcome == "bad_request" }
	if c.route.cache == uncached || slices.ContainsFunc(all, incomplete) {
		return all
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	key := c.cacheKey()
	switch c.route.cache {
	case laneCache:
		if last, ok := h.lanes[key]; ok {
			all = append(all, older(last)...)
		}
	default:
		h.shared[key] = append(h.shared[key], append(all, behind(c)...)...)
		all = nil // of calls that come along with this one, those that come later too
	}
	return all
}

// behind says how a call may end after its caller was answered: a slow answer is
// kept for the next callers.
func behind(c *call) []expected {
	var all []expected
	for _, params := range c.params {
		q, err := c.question(params)
		if a := answer(q); err == nil && a.wire == dripping {
			for _, v := range c.route.judge(a.sent(whole)) {
				all = append(all, c.route.shape(v)...)
			}
		}
	}
	return all
}

// older is an answer of before: while it is fresh, and when it isn't.
func older(e expected) []expected {
	stale := e
	stale.outcome = "stale"
	return []expected{e, stale}
}

// of is all that callers of a shared key may have been answered with.
func (h *history) of(c *call) []expected {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []expected
	for _, e := range h.shared[c.cacheKey()] {
		all = append(all, e)
		if e.outcome == "ok" {
			all = append(all, older(e)...)
		}
	}
	return append(all, c.route.failure("timeout")) // of a call that goes on behind
}

// end keeps in mind how a call ended.
func (h *history) end(c *call, a answered) {
	if c.route.cache != laneCache || c.params == nil {
		return
	}
	if c.method == http.MethodHead { // whose answer is kept, but isn't seen
		for _, e := range expect(c) {
			if e.outcome == "ok" {
				a.value = e.value
			}
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch key := c.cacheKey(); a.outcome {
	case "ok":
		h.lanes[key] = expected{outcome: "ok", statuses: []int{a.status}, value: a.value, exact: true}
	case "not_found": // it isn't kept, and what the API no longer says isn't either
		delete(h.lanes, key)
	}
}

// late reports whether a call took so long that a busy machine may have kept it
// from its answer.
func late(took time.Duration) bool { return took > budget*9/10 }
