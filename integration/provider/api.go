package provider

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// openAPI looks for the access token, writes it down, and returns the call's
// work. Below /free/ the same routes need no token.
func (c *call) openAPI() (work func() answer) {
	path, free := c.r.URL.Path, false
	if rest, ok := strings.CutPrefix(path, "/free/"); ok {
		path, free = "/"+rest, true
	}
	values := c.findToken()
	c.lookUpToken()

	return func() answer {
		if !free {
			c.lookUpToken() // it may have died while a fault delayed the call
			if refused, ok := c.checkToken(values); !ok {
				return refused
			}
		}
		return c.route(path)
	}
}

// findToken collects the access tokens that came with the call, each once.
func (c *call) findToken() []string {
	var values []string
	found := func(at string, vs ...string) {
		for _, v := range vs {
			if v == "" {
				continue
			}
			c.entry.TokenAt = append(c.entry.TokenAt, at)
			if !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
	}
	for _, v := range c.r.Header.Values("Authorization") {
		scheme, token, _ := strings.Cut(v, " ")
		switch {
		case c.s.opt.Scheme == "raw":
			found("authorization", v)
		case strings.EqualFold(scheme, c.s.opt.Scheme):
			found("authorization", strings.TrimLeft(token, " "))
		}
	}
	found("x-access-token", c.r.Header.Values("X-Access-Token")...)
	found("token", c.r.Header.Values("Token")...)
	found("query", c.fields.query["access_token"]...)
	found("body", c.fields.body["access_token"]...)
	if len(values) > 0 {
		c.entry.Token = values[0]
	}
	return values
}

func (c *call) lookUpToken() {
	if c.entry.Token != "" {
		c.entry.TokenState, c.entry.Generation, c.deadByCode = c.s.tokens.state(c.entry.Token, time.Now())
	} else {
		c.deadByCode = c.s.opt.DeadTokenCode
	}
}

// checkToken refuses a call without exactly one living token. What it answers
// carries a cookie and a challenge, so that a test sees when they leak.
func (c *call) checkToken(values []string) (refused answer, ok bool) {
	var outcome string
	switch {
	case len(values) > 1:
		return envelope("two_tokens", http.StatusBadRequest, "40002", "two different access tokens", nil), false
	case len(values) == 0:
		outcome = "no_token"
	case c.entry.TokenState != stateLive:
		outcome = "dead_token"
	default:
		return answer{}, true
	}
	if c.deadByCode {
		return envelope(outcome, http.StatusOK, "40001", "token expired", nil), false
	}
	return unauthorized(outcome), false
}

func unauthorized(outcome string) answer {
	a := envelope(outcome, http.StatusUnauthorized, "401", "token expired", nil)
	a.header = map[string]string{
		"WWW-Authenticate": `Bearer realm="provider", error="invalid_token"`,
		"Set-Cookie":       "provider_session=refused; Path=/",
	}
	return a
}

// route does what an API path is for.
func (c *call) route(path string) answer {
	id, isCustomer := strings.CutPrefix(path, "/open/customer/")
	switch {
	case path == "/open/order/query", path == "/open/customer/query":
		return c.orderQuery()
	case path == "/open/order/latest":
		return c.latestOrder()
	case isCustomer:
		return c.customerByID(id)
	case path == "/open/ticket/create":
		return c.createTicket()
	case path == "/echo", strings.HasPrefix(path, "/echo/"):
		return c.echo()
	}
	if stream, ok := streams[path]; ok {
		return stream(c)
	}
	return envelope("no_such_path", http.StatusNotFound, "404", "no such path", nil)
}

// orderQuery is GET or POST /open/order/query or /open/customer/query with `tel` as query, form or JSON.
func (c *call) orderQuery() answer {
	if a, ok := c.allow(http.MethodGet, http.MethodHead, http.MethodPost); !ok {
		return a
	}
	tels := slices.Compact(c.fields.all("tel"))
	switch {
	case c.fields.err != nil:
		return envelope("malformed", http.StatusBadRequest, "400000", "malformed request", nil)
	case len(tels) > 1:
		return envelope("two_tels", http.StatusBadRequest, "400002", "two different values of tel", nil)
	case len(tels) == 0 || tels[0] == "":
		return envelope("no_tel", http.StatusOK, "400001", "tel is required", nil)
	}
	return c.customer(findByTel(tels[0]))
}

// latestOrder is GET /open/order/latest with `customer`, an id.
func (c *call) latestOrder() answer {
	if a, ok := c.allow(http.MethodGet, http.MethodHead); !ok {
		return a
	}
	ids := c.fields.all("customer")
	if len(ids) != 1 || ids[0] == "" {
		return envelope("no_customer", http.StatusOK, "400003", "customer is required", nil)
	}
	return c.customer(findByID(ids[0]))
}

// createTicket is POST /open/ticket/create with `tel` and `subject`. Each call makes a
// ticket; calls with the same Idempotency-Key make one.
func (c *call) createTicket() answer {
	if a, ok := c.allow(http.MethodPost); !ok {
		return a
	}
	tels, subjects := c.fields.all("tel"), c.fields.all("subject")
	switch {
	case c.fields.err != nil:
		return envelope("malformed", http.StatusBadRequest, "400000", "malformed request", nil)
	case len(tels) != 1 || tels[0] == "" || len(subjects) != 1 || subjects[0] == "":
		return envelope("no_tel", http.StatusOK, "400001", "tel and subject are required", nil)
	}
	return envelope("ok", http.StatusOK, "000000", "success", map[string]any{
		"number": c.s.ticket(c.r.Header.Get("Idempotency-Key")), "subject": subjects[0],
	})
}

// ticket returns the number of the ticket with that key, or of a new one.
func (s *Server) ticket(key string) string {
	s.ticketsMu.Lock()
	defer s.ticketsMu.Unlock()
	if number, ok := s.ticketOf[key]; ok && key != "" {
		return number
	}
	s.tickets++
	number := fmt.Sprintf("T-%06d", s.tickets)
	if s.ticketOf == nil {
		s.ticketOf = make(map[string]string)
	}
	s.ticketOf[key] = number
	return number
}

// customerByID is GET /open/customer/{id}.
func (c *call) customerByID(id string) answer {
	if a, ok := c.allow(http.MethodGet, http.MethodHead); !ok {
		return a
	}
	return c.customer(findByID(id))
}

func (c *call) customer(known *customer) answer {
	switch {
	case known != nil:
		return answer{outcome: outcomeOK, status: http.StatusOK, body: known.answer}
	case c.s.opt.UnknownStatus == http.StatusOK:
		return envelope("not_found", http.StatusOK, "000000", "", nil)
	default:
		return envelope("not_found", c.s.opt.UnknownStatus, "404000", "no such customer", nil)
	}
}

func (c *call) allow(methods ...string) (refused answer, ok bool) {
	if slices.Contains(methods, c.r.Method) {
		return answer{}, true
	}
	a := envelope("bad_method", http.StatusMethodNotAllowed, "405", "method not allowed", nil)
	a.header = map[string]string{"Allow": strings.Join(methods, ", ")}
	return a, false
}

// echo tells what arrived, byte for byte where JSON can: a body that isn't
// UTF-8 comes back as base64 in body_base64.
func (c *call) echo() answer {
	v := map[string]any{
		"method":   c.r.Method,
		"host":     c.r.Host,
		"path":     c.r.URL.EscapedPath(),
		"rawquery": c.r.URL.RawQuery,
		"proto":    c.r.Proto,
		"headers":  c.r.Header,
		"length":   len(c.body),
	}
	if utf8.Valid(c.body) {
		v["body"] = string(c.body)
	} else {
		v["body_base64"] = c.body
	}
	return asJSON(outcomeOK, http.StatusOK, v)
}
