package api

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/program"
	"github.com/switchboard-ivr/switchboard/module/transport"
)

// keepEvery is how often an answer is kept: the calls between pay for a look at
// the clock.
const keepEvery = time.Second

// lastAnswer is the API's last real answer, for those who work on `output`. It is
// masked before it is kept.
type lastAnswer struct {
	next atomic.Int64 // Unix ns
	kept atomic.Pointer[keptAnswer]
}

// keptAnswer is what the output program saw, masked.
type keptAnswer struct {
	at      time.Time
	status  int
	doc     any
	headers any
	params  any
}

// keep keeps the answer of a call that the API has answered.
func (c *run) keep() {
	last := c.api.last
	if last == nil {
		return
	}
	now := time.Now()
	next := last.next.Load()
	if now.UnixNano() < next || !last.next.CompareAndSwap(next, now.Add(keepEvery).UnixNano()) {
		return
	}
	text, err := transport.Decompress(c.recorder.body.Bytes(), strings.ToLower(c.recorder.header.Get("Content-Encoding")), c.api.MaxSize)
	if err != nil || len(text) > maxShown {
		return
	}
	doc, err := jq.Decode(text, jq.Limits{})
	if err != nil {
		return
	}
	secrets := c.secrets()
	kept := &keptAnswer{at: now, status: c.recorder.status, doc: mask.Document(doc, secrets), headers: shownHeaders(c.recorder.header, secrets)}
	if c.Input != nil {
		kept.params = mask.Document(c.Input.Params, secrets)
	}
	last.kept.Store(kept)
}

// shownHeaders are the headers of an answer as programs see them, masked.
func shownHeaders(header http.Header, secrets []string) any {
	return mask.Document(program.Headers(header), secrets)
}
