// Package adminapi is a client for Switchboard's part of Caddy's admin API.
package adminapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// Directory is the response of GET /switchboard/customers.
type Directory struct {
	Count int64  `json:"count"`
	Store string `json:"store"`
}

// Changed is the response of PUT and DELETE /switchboard/customers/ID.
type Changed struct {
	ID      string `json:"id"`
	Existed bool   `json:"existed"` // of a DELETE: the customer existed
	Store   string `json:"store"`
}

// API is the state of an API: GET /switchboard/apis/NAME.
type API struct {
	Name     string `json:"name"`
	Held     bool   `json:"held"`              // an operator has stopped calls
	Breaker  string `json:"breaker,omitempty"` // closed, half-open or open; "" without one
	Degraded bool   `json:"degraded"`          // callers get stale answers, defaults or errors
	// DegradedSince is when Degraded began, to the second.
	DegradedSince time.Time `json:"degraded_since,omitzero"`

	Calls       uint64    `json:"calls"`                  // in the last hour
	Real        *float64  `json:"real_share,omitempty"`   // share of real answers, 0 to 1; nil if no call counts
	P99         float64   `json:"p99_ms,omitempty"`       // of the duration; accurate to 10 %
	LastOutcome string    `json:"last_outcome,omitempty"` // of the last call
	LastCall    time.Time `json:"last_call,omitzero"`     // to the second

	Description string  `json:"description,omitempty"` // what it is for
	Parameters  []Param `json:"parameters,omitempty"`  // what a caller sends

	Params    []string `json:"params,omitempty"`     // the names of Parameters
	Once      bool     `json:"once,omitempty"`       // its writes happen once
	CacheHint string   `json:"cache_hint,omitempty"` // why its cache may be useless, if it has no hits
}

// Param is a param that a caller sends: as `param` describes it, or as a request
// program uses it.
type Param struct {
	Name     string `json:"name"`
	Meaning  string `json:"meaning,omitempty"`
	Example  string `json:"example,omitempty"`
	Required bool   `json:"required,omitempty"` // by name; conditions are not included
}

// Cache is the response of GET /switchboard/cache. Sizes are in bytes; counters
// start when the cache is created.
type Cache struct {
	Size    int64  `json:"size"`
	Entries int64  `json:"entries"` // approximate
	Bytes   int64  `json:"bytes"`   // approximate
	Hits    uint64 `json:"hits"`
	Misses  uint64 `json:"misses"`
	Refused uint64 `json:"refused"` // stored too fast, or requested less often than the others
	Evicted uint64 `json:"evicted"` // to make room
}

// Purge says what POST /switchboard/cache/purge drops: everything, if it is
// empty.
type Purge struct {
	API      string          `json:"api,omitempty"`
	Params   json.RawMessage `json:"params,omitempty"`   // of the call
	Customer string          `json:"customer,omitempty"` // drops all answers: keys don't show whom an answer is about
}

// Purged is the response to a purge: the API's name, or "all".
type Purged struct {
	Purged string `json:"purged"`
}

// ErrNobody reports that no instance responds at the address.
var ErrNobody = errors.New("no running instance responds")

// Error is an error response of a running instance.
type Error struct {
	Status  int
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("the running instance says: %s (%d)", e.Message, e.Status)
}

// Client makes requests to one running instance.
type Client struct {
	http   *http.Client
	origin string
	// address is the address for error messages.
	address string
	socket  bool // Caddy takes no Origin there
}

// New returns a client for an admin address in Caddy's notation: host:port, or
// unix//path/to/socket.
func New(address string) (*Client, error) {
	a, err := caddy.ParseNetworkAddressWithDefaults(address, "tcp", 2019)
	if err != nil || a.PortRangeSize() > 1 {
		return nil, fmt.Errorf("%s is not a valid address of an admin API", address)
	}
	network, target, origin := a.Network, a.JoinHostPort(0), "http://"+a.JoinHostPort(0)
	if a.IsUnixNetwork() {
		path, _, _ := strings.Cut(a.Host, "|") // cut off the socket's permissions
		target, origin = path, "http://127.0.0.1"
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &Client{
		http: &http.Client{
			Timeout:       time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, target)
			}},
		},
		origin:  origin,
		address: address,
		socket:  a.IsUnixNetwork(),
	}, nil
}

// Directory returns the store's name and its number of customers.
func (c *Client) Directory(ctx context.Context) (Directory, error) {
	return do[Directory](ctx, c, http.MethodGet, "/switchboard/customers", nil)
}

// Customer returns a customer, as a flat object with the protocol's field names.
func (c *Client) Customer(ctx context.Context, id string) (json.RawMessage, error) {
	return do[json.RawMessage](ctx, c, http.MethodGet, customerPath(id), nil)
}

// PutCustomer inserts a customer, or replaces the one with that id. record is a
// flat object with the protocol's field names.
func (c *Client) PutCustomer(ctx context.Context, id string, record []byte) (Changed, error) {
	return do[Changed](ctx, c, http.MethodPut, customerPath(id), record)
}

// DeleteCustomer deletes a customer, and the cached answers that may be about
// them.
func (c *Client) DeleteCustomer(ctx context.Context, id string) (Changed, error) {
	return do[Changed](ctx, c, http.MethodDelete, customerPath(id), nil)
}

// APIs returns the state of all APIs.
func (c *Client) APIs(ctx context.Context) ([]API, error) {
	return do[[]API](ctx, c, http.MethodGet, "/switchboard/apis", nil)
}

// API returns the state of an API.
func (c *Client) API(ctx context.Context, name string) (API, error) {
	return do[API](ctx, c, http.MethodGet, "/switchboard/apis/"+url.PathEscape(name), nil)
}

// Hold stops the calls of an API.
func (c *Client) Hold(ctx context.Context, api string) (API, error) {
	return do[API](ctx, c, http.MethodPost, "/switchboard/apis/"+url.PathEscape(api)+"/hold", nil)
}

// Release resumes the calls of an API.
func (c *Client) Release(ctx context.Context, api string) (API, error) {
	return do[API](ctx, c, http.MethodPost, "/switchboard/apis/"+url.PathEscape(api)+"/release", nil)
}

// Cache returns the statistics of the cache.
func (c *Client) Cache(ctx context.Context) (Cache, error) {
	return do[Cache](ctx, c, http.MethodGet, "/switchboard/cache", nil)
}

// PurgeCache drops cached answers.
func (c *Client) PurgeCache(ctx context.Context, what Purge) (Purged, error) {
	body, err := json.Marshal(what)
	if err != nil {
		return Purged{}, err
	}
	return do[Purged](ctx, c, http.MethodPost, "/switchboard/cache/purge", body)
}

func customerPath(id string) string { return "/switchboard/customers/" + url.PathEscape(id) }

// maxAnswer is larger than any response.
const maxAnswer = 4 << 20

func do[T any](ctx context.Context, c *Client, method, path string, body []byte) (answer T, err error) {
	text, err := c.ask(ctx, method, path, body)
	if err != nil {
		return answer, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // numbers keep their spelling
	if err := d.Decode(&answer); err != nil {
		return answer, errors.New("the running instance does not respond like Switchboard")
	}
	return answer, nil
}

func (c *Client) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.origin+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if !c.socket {
		req.Header.Set("Origin", c.origin)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			return nil, fmt.Errorf("%w at %s", ErrNobody, c.address)
		}
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL, which names the customer
		}
		return nil, fmt.Errorf("asking the running instance: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("asking the running instance: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		var refusal struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(text, &refusal) != nil || refusal.Error == "" {
			refusal.Error = http.StatusText(res.StatusCode)
		}
		return nil, &Error{Status: res.StatusCode, Message: refusal.Error}
	}
	return text, nil
}

// Token is the state of a token source: GET /switchboard/tokens/NAME. It never
// contains the token. Times that don't apply are omitted.
type Token struct {
	Name string `json:"name"`
	// State is none, obtaining, fresh, due (to be renewed soon), renewing, or
	// failing (waiting for the next attempt; there may still be a valid token).
	State       string    `json:"state"`
	Static      bool      `json:"static"`                // configured, and never renewed
	Generation  uint64    `json:"generation"`            // of the current token; 0 without one
	Fingerprint string    `json:"fingerprint,omitempty"` // eight hex digits of its digest
	Obtained    time.Time `json:"obtained,omitzero"`
	Expires     time.Time `json:"expires,omitzero"`
	NextAttempt time.Time `json:"next_attempt,omitzero"` // of a renewal
	LastError   string    `json:"last_error,omitempty"`  // of the last renewal, if it failed, with the endpoint's own message
	// LastExchange is the last request to the token endpoint and its response,
	// masked; nil before the first.
	LastExchange *token.Exchange `json:"last_exchange,omitempty"`
}

// Tokens returns the state of all token sources.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	return do[[]Token](ctx, c, http.MethodGet, "/switchboard/tokens", nil)
}

// RenewToken renews a token now, and waits for the result.
func (c *Client) RenewToken(ctx context.Context, name string) (Token, error) {
	return do[Token](ctx, c, http.MethodPost, "/switchboard/tokens/"+url.PathEscape(name)+"/renew", nil)
}

// Hour holds the outcomes of an API's calls in the last hour: GET
// /switchboard/apis/NAME/hour. It is counted in memory, and starts anew after a
// restart.
type Hour struct {
	Calls    uint64            `json:"calls"`
	P50      float64           `json:"p50_ms"` // of the duration; accurate to 10 %
	P99      float64           `json:"p99_ms"`
	Outcomes map[string]uint64 `json:"outcomes"`
	Minutes  []Minute          `json:"minutes"` // 60, the current one last
}

// Minute is one minute of an Hour. Without calls it has no durations.
type Minute struct {
	Start    int64             `json:"start"` // Unix time in seconds
	Calls    uint64            `json:"calls"`
	P50      float64           `json:"p50_ms,omitempty"`
	P99      float64           `json:"p99_ms,omitempty"`
	Outcomes map[string]uint64 `json:"outcomes,omitempty"`
}

// Hour returns the outcomes of an API's calls in the last hour.
func (c *Client) Hour(ctx context.Context, api string) (Hour, error) {
	return do[Hour](ctx, c, http.MethodGet, "/switchboard/apis/"+url.PathEscape(api)+"/hour", nil)
}
