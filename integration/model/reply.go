// Package model tests that `ok` is true: it has an API that misbehaves in every
// known way, routes of every kind, callers of every kind, and a model of what a
// route has to answer, written from the documentation and sharing no code with
// Switchboard. The test makes thousands of calls of the built binary and
// compares each answer with the model.
package model

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"strings"
)

// question is what the API was asked.
type question struct {
	tels  []string // the values of tel that aren't blank; none asks for everybody
	fault string   // how to answer: a key of faults
	n     string   // the number of the call; part of the answer
}

// content says what an able reader finds in the body of a reply.
type content int

const (
	document   content = iota // one JSON document, in reply.doc
	nothing                   // no byte
	unreadable                // a page, a text, broken JSON, an unknown charset or encoding
	streamed                  // a stream of events or documents
)

// wire says how a reply travels.
type wire int

const (
	whole     wire = iota
	dropped        // the connection is closed without an answer
	reset          // the same by a reset
	hanging        // nothing is sent for longer than any budget
	cutLength      // less than Content-Length says
	cutChunk       // no last chunk
	resetBody      // a reset in the middle of the body
	halfHangs      // half of the body, then nothing
	dripping       // byte by byte, for longer than any budget
)

// reply is one answer of the API: how it is sent, and what it means.
type reply struct {
	status int
	header http.Header
	body   []byte // as it is sent
	wire   wire

	kind   content
	doc    any  // of a document, as encoding/json decodes it, numbers as written
	size   int  // of the body when decompressed
	either bool // a reader may also refuse it: a bad_answer
	// mayBeLarge is set where a reader may find it too large.
	mayBeLarge bool
}

// text is a reply with a body of JSON.
func text(status int, body string) reply {
	return reply{
		status: status, header: http.Header{"Content-Type": {"application/json"}},
		body: []byte(body), kind: document, doc: parse(body), size: len(body),
	}
}

// parse reads JSON of our own making.
func parse(text string) any {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		panic(fmt.Sprintf("JSON of the test: %v: %.100s", err, text))
	}
	return v
}

// raw is a reply with a body of another kind.
func raw(status int, contentType, body string, kind content) reply {
	r := reply{status: status, header: http.Header{}, body: []byte(body), kind: kind, size: len(body)}
	if contentType != "" {
		r.header.Set("Content-Type", contentType)
	}
	return r
}

// with adds a header to a reply.
func (r reply) with(name, value string) reply {
	r.header = r.header.Clone()
	r.header.Set(name, value)
	return r
}

// sent changes how a reply travels.
func (r reply) sent(w wire) reply {
	r.wire = w
	return r
}

// orRefused marks a reply that a reader may refuse.
func (r reply) orRefused() reply {
	r.either = true
	return r
}

// nameOf is the name of the customer with a telephone number. Whoever asks
// without one gets the first of all customers.
func nameOf(tels []string) string {
	if len(tels) == 0 {
		return "SOMEBODY ELSE"
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(tels[0]))
	return fmt.Sprintf("Customer %08x", h.Sum32())
}

// good is the API's answer about the customer, with parts replaced: pairs of a
// field of data and its JSON; an empty one leaves the field out. The field
// "code" is the business code.
func good(q question, replace ...string) string {
	fields := []string{"name", "vip", "order", "amount", "address", "tags"}
	name, _ := json.Marshal(nameOf(q.tels))
	values := map[string]string{
		"code": `"0"`, "name": string(name), "vip": "1", "order": `"` + q.n + `"`, "amount": "1.10",
		"address": `{"city":"Beijing"}`, "tags": `["new","web"]`,
	}
	for i := 0; i+1 < len(replace); i += 2 {
		values[replace[i]] = replace[i+1]
	}
	var data []string
	for _, f := range fields {
		if values[f] != "" {
			data = append(data, `"`+f+`":`+values[f])
		}
	}
	return `{"code":` + values["code"] + `,"msg":"","data":{` + strings.Join(data, ",") + `}}`
}
