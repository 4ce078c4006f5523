package api

import (
	"sync/atomic"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/program"
)

// keepEvery is how often an answer is kept: the calls between pay for a look at
// the clock.
const sampleInterval = time.Second

// lastAnswer is the API's last real answer, for those who work on `output`. It is
// masked before it is kept.
type sampler struct {
	next atomic.Int64 // when one is kept again, in Unix ns
	kept atomic.Pointer[switchboard.Sample]
}

// keep keeps the answer of a call that the API has answered.
func (c *run) keepSample() {
	last := c.api.last
	if last == nil {
		return
	}
	now := time.Now()
	next := last.next.Load()
	if now.UnixNano() < next || !last.next.CompareAndSwap(next, now.Add(sampleInterval).UnixNano()) {
		return
	}
	text, err := c.response.text()
	if err != nil || len(text) > maxShown {
		return
	}
	doc, err := jsonval.Decode(text, jsonval.Limits{})
	if err != nil {
		return
	}
	secrets := c.secrets()
	kept := &switchboard.Sample{
		Time: now, Status: c.response.status,
		Answer: mask.Document(doc, secrets), Headers: mask.Document(program.Headers(c.response.header), secrets),
	}
	if c.Input != nil {
		kept.Params = mask.Document(c.Input.Params, secrets)
	}
	last.kept.Store(kept)
}
