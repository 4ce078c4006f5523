package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

// callMethods are those of an API call.
var callMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

// neverSent reports whether a method is never sent to an API: TRACE and TRACK
// are answered with the request, token included, and CONNECT opens a tunnel.
func neverSent(method string) bool {
	return slices.Contains([]string{http.MethodTrace, "TRACK", http.MethodConnect}, strings.ToUpper(method))
}

// allowed ends a call whose method isn't sent. What a sidecar's API makes of a
// method that it may not know, with a 501 for example, says nothing about it.
func (c *run) allowed() bool {
	if slices.Contains(callMethods, c.R.Method) {
		return true
	}
	allow := strings.Join(callMethods, ", ")
	if c.api.target.sidecar() {
		c.Uncharged = true
		if !neverSent(c.R.Method) || isWebsocket(c.R) {
			return true
		}
		allow += ", OPTIONS"
	}
	c.Identify()
	c.W.Header().Set("Allow", allow)
	return c.Refuse(http.StatusMethodNotAllowed, call.BadRequest, "this method is not allowed")
}

// isWebsocket reports whether a CONNECT opens a websocket over HTTP/2 or HTTP/3
// (RFC 8441, RFC 9220). reverse_proxy makes a GET of it.
func isWebsocket(r *http.Request) bool {
	return r.Method == http.MethodConnect &&
		(r.ProtoMajor == 2 && r.Header.Get(":protocol") == "websocket" || r.ProtoMajor == 3 && r.Proto == "websocket")
}
