package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/token/keeper"
)

// AppendKey implements [endpoint.Cacheable]: the params, and everything else in
// the incoming request that is forwarded or used by a program.
func (c *run) AppendKey(dst []byte) (_ []byte, err error) {
	if dst, err = jsonval.Encode(dst, c.call.Input.Params, jsonval.Limits{}); err != nil {
		return dst, err
	}
	if c.call.Request != nil {
		if dst, err = jsonval.Encode(dst, c.call.Request, jsonval.Limits{}); err != nil {
			return dst, err
		}
	}
	if pass := c.api.Pass; pass != nil {
		if pass.Query {
			dst = cache.AppendPart(dst, c.call.R.URL.RawQuery)
		}
		if pass.Body {
			dst = cache.AppendPart(dst, c.call.Input.ContentType)
			dst = cache.AppendPart(dst, string(c.call.Input.Raw))
		}
	}
	return dst, nil
}

// AppendVary implements [endpoint.Cacheable]: the method, the forwarded headers,
// and the values of the chain's placeholders.
func (c *run) AppendVary(dst []byte) []byte {
	return c.api.appendVary(dst, &c.call)
}

// appendVary appends what the API's answers, and those of its parts, depend on in a
// call besides the key.
func (a *API) appendVary(dst []byte, c *endpoint.Call) []byte {
	dst = cache.AppendPart(dst, a.method(c.R.Method))
	if a.Pass != nil {
		for _, name := range a.Pass.Headers {
			values := c.R.Header.Values(name)
			dst = binary.AppendUvarint(dst, uint64(len(values)))
			for _, v := range values {
				dst = cache.AppendPart(dst, v)
			}
		}
	}
	for _, name := range a.keyed {
		v, _ := c.Repl.GetString(name)
		dst = cache.AppendPart(dst, v)
	}
	if a.links != nil && a.Link() == nil {
		for _, to := range a.links.apis {
			dst = to.appendVary(cache.AppendPart(dst, string(to.settings)), c)
		}
	}
	return dst
}

// Forget implements [switchboard.API].
func (a *API) Forget(ctx context.Context, params map[string]any) error {
	paramsAreAll := !a.usesRequest() && (a.Pass == nil || !a.Pass.Query && !a.Pass.Body)
	if err := a.route.Forget(ctx, params, paramsAreAll); err != nil {
		return fmt.Errorf("api %s: %w", a.Name, err)
	}
	return nil
}

// Detach implements [endpoint.Cacheable] and [endpoint.Writer].
func (c *run) Detach(ctx context.Context) endpoint.DetachedCall {
	if end, ok := c.call.Ctx.Deadline(); ok {
		ctx = keeper.WithPatience(ctx, end)
	}
	f := newRun(c.api)
	f.call = c.call.Detach(ctx, c.api.allPlaceholders())
	if f.parts != nil {
		f.parts.until, _ = c.call.Ctx.Deadline()
	}
	f.attempt.Reader, f.attempt.Room = c.attempt.Reader, &f.call.Room
	f.attempt.Params, f.attempt.Request = c.attempt.Params, c.attempt.Request
	f.call.Repl.Map(f.placeholder)
	return f
}

// allPlaceholders returns the placeholders that the requests of the API and of its
// parts depend on.
func (a *API) allPlaceholders() []string {
	if a.links == nil || a.Link() != nil {
		return a.placeholders
	}
	return append(slices.Clip(a.placeholders), a.links.placeholders...)
}

// Run implements [endpoint.DetachedCall].
func (c *run) Run() endpoint.DetachedResult {
	defer c.response.free()
	c.work()
	c.copyResults()
	result := c.call.FinishDetached()
	if c.api.Cache != nil {
		result.NotStored = c.storeRefusal()
	}
	if c.parts != nil {
		result.NotStored = cmp.Or(c.parts.storeRefusal(), result.NotStored)
		c.parts.release()
	}
	result.Doubtful = c.doubtful()
	result.Placeholders = c.upstreamPlaceholders()
	return result
}

// storeRefusal returns why the API's answer must not be stored, "" if it may be:
// because of its Cache-Control and Vary (RFC 9111, section 3), or because it sets
// a cookie.
func (c *run) storeRefusal() string {
	header := c.response.header
	if len(header.Values("Set-Cookie")) > 0 {
		return "the API's answer sets a cookie"
	}
	for _, line := range header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
			if name == "no-store" || name == "private" || name == "no-cache" {
				return "the API's answer says Cache-Control: " + name
			}
		}
	}
	for _, line := range header.Values("Vary") {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.TrimSpace(name)
			if name == "*" {
				return "the API's answer says Vary: *"
			}
			if name != "" && !c.keyCovers(name) {
				return "the API's answer varies with " + http.CanonicalHeaderKey(name) + ", which the cache's key leaves out"
			}
		}
	}
	return ""
}

// keyCovers reports whether a request header of the API's is part of the key, or
// the same in every call. Headers that programs compute are covered by the
// default key only.
func (c *run) keyCovers(header string) bool {
	a := c.api
	return a.Cache == nil || a.Cache.Key == "" || a.programs.headers == nil ||
		a.Pass != nil && slices.ContainsFunc(a.Pass.Headers, func(passed string) bool { return strings.EqualFold(passed, header) }) ||
		slices.Contains(ownHeaders, http.CanonicalHeaderKey(header))
}

// ownHeaders are sent by us, or by the transport, in every call. All calls have
// the same token owner, so Authorization doesn't matter.
var ownHeaders = []string{"Accept", "Accept-Encoding", "Authorization", "Origin", "User-Agent"}

// upstreamPlaceholders returns the placeholders that reverse_proxy has set, for
// the access log of the call that started this one.
func (c *run) upstreamPlaceholders() map[string]any {
	found := make(map[string]any, len(reverseProxyPlaceholders))
	for _, name := range reverseProxyPlaceholders {
		if v, ok := c.call.Repl.Get(name); ok {
			found[name] = v
		}
	}
	return found
}

var reverseProxyPlaceholders = []string{
	"http.reverse_proxy.upstream.address",
	"http.reverse_proxy.upstream.hostport",
	"http.reverse_proxy.upstream.host",
	"http.reverse_proxy.upstream.port",
	"http.reverse_proxy.upstream.requests",
	"http.reverse_proxy.upstream.max_requests",
	"http.reverse_proxy.upstream.fails",
	"http.reverse_proxy.upstream.latency",
	"http.reverse_proxy.upstream.latency_ms",
	"http.reverse_proxy.upstream.duration",
	"http.reverse_proxy.upstream.duration_ms",
	"http.reverse_proxy.status_code",
	"http.reverse_proxy.status_text",
}

var placeholder = regexp.MustCompile(`\{([a-z][a-zA-Z0-9_.:/-]*)\}`)

// findPlaceholders lists the placeholders in the chain and in headers. Their
// values are resolved before a call is detached from its request.
func (a *API) findPlaceholders() []string {
	var found []string
	texts := make([][]byte, 0, len(a.HandleRaw)+len(a.SetHeaders))
	for _, raw := range a.HandleRaw {
		texts = append(texts, raw)
	}
	for _, value := range a.SetHeaders {
		texts = append(texts, []byte(value))
	}
	for _, match := range placeholder.FindAllSubmatch(bytes.Join(texts, []byte("\n")), -1) {
		name := string(match[1])
		if !strings.HasPrefix(name, "http.api.") && !strings.HasPrefix(name, "http.reverse_proxy.") {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// changesEachCall reports whether a placeholder has another value in every call.
func changesEachCall(name string) bool {
	return name == "http.request.uuid" || strings.HasPrefix(name, "time.") || strings.HasPrefix(name, "http.request.duration")
}
