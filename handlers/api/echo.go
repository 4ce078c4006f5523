package api

import (
	"bytes"
	"strings"

	"github.com/switchboard-ivr/switchboard/internal/mask"
)

// echoesToken reports whether an answer that is looked into holds our token. Some
// APIs repeat the request, and the phone system must not get the token out of
// `output`.
func (c *run) echoesToken(body []byte) bool {
	used := c.attempt.Used
	if used == nil || len(used.Access) < 4 {
		return false
	}
	// the beginning is looked for first, which costs no memory
	begin, _, _ := strings.Cut(used.Access, "/")
	if !bytes.Contains(body, []byte(begin[:min(len(begin), 16)])) {
		return false
	}
	return bytes.Contains(body, []byte(used.Access)) || bytes.Contains(body, slashed(used.Access))
}

// withoutToken returns the answer with our token masked.
func (c *run) withoutToken(body []byte) []byte {
	if !c.echoesToken(body) {
		return body
	}
	body = bytes.ReplaceAll(body, []byte(c.attempt.Used.Access), []byte(mask.Hidden))
	return bytes.ReplaceAll(body, slashed(c.attempt.Used.Access), []byte(mask.Hidden))
}

// slashed is a text as some encoders write it into JSON.
func slashed(s string) []byte { return []byte(strings.ReplaceAll(s, "/", `\/`)) }
