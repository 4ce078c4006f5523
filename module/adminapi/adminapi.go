// Package adminapi is a client of Switchboard's part of Caddy's admin API.
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

// Directory is the answer of GET /switchboard/customers.
type Directory struct {
	Count int64  `json:"count"`
	Store string `json:"store"`
}

// Changed is the answer of PUT and DELETE /switchboard/customers/ID.
type Changed struct {
	ID      string `json:"id"`
	Existed bool   `json:"existed"` // of a DELETE: there was one
	Store   string `json:"store"`
}

// API is how an API stands: GET /switchboard/apis/NAME.
type API struct {
	Name     string `json:"name"`
	Held     bool   `json:"held"`              // an operator has stopped calls
	Breaker  string `json:"breaker,omitempty"` // closed, half-open or open; "" without one
	Degraded bool   `json:"degraded"`          // answers are older ones, defaults or errors
	// DegradedSince is when that began, to the second.
	DegradedSince time.Time `json:"degraded_since,omitzero"`

	Calls       uint64    `json:"calls"`                  // in the last hour
	Real        *float64  `json:"real_share,omitempty"`   // share of them, 0 to 1, that the API answered itself; nil without calls that say so
	P99         float64   `json:"p99_ms,omitempty"`       // of the time from request to answer; within 10 %
	LastOutcome string    `json:"last_outcome,omitempty"` // of the last call
	LastCall    time.Time `json:"last_call,omitzero"`     // to the second

	Description string  `json:"description,omitempty"` // what it is for
	Parameters  []Param `json:"parameters,omitempty"`  // what a caller gives

	Params    []string `json:"params,omitempty"`     // the names of Parameters
	CacheHint string   `json:"cache_hint,omitempty"` // why its cache may be of no use, when no call was answered from it
}

// Param is one of the params that a caller gives: as `param` describes it, or as a
// program of the request reads it.
type Param struct {
	Name     string `json:"name"`
	Meaning  string `json:"meaning,omitempty"`
	Example  string `json:"example,omitempty"`
	Required bool   `json:"required,omitempty"` // by name; conditions are not told
}

// Cache is the answer of GET /switchboard/cache. Sizes are in bytes; what is
// counted is counted since the cache was made.
type Cache struct {
	Size    int64  `json:"size"`
	Entries int64  `json:"entries"` // approximate
	Bytes   int64  `json:"bytes"`   // approximate
	Hits    uint64 `json:"hits"`
	Misses  uint64 `json:"misses"`
	Refused uint64 `json:"refused"` // put too fast, or asked for less than what was there
	Evicted uint64 `json:"evicted"` // to make room
}

// Purge says what POST /switchboard/cache/purge is to drop: everything, when
// nothing is written.
type Purge struct {
	API      string          `json:"api,omitempty"`
	Params   json.RawMessage `json:"params,omitempty"`   // what was asked of it
	Customer string          `json:"customer,omitempty"` // all answers go: none tells whom it is about
}

// Purged is the answer to it: an API's name, or all.
type Purged struct {
	Purged string `json:"purged"`
}

// ErrNobody says that no instance answers at the address.
var ErrNobody = errors.New("no running instance answers")

// Error is a refusal by a running instance.
type Error struct {
	Status  int
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("the running instance says: %s (%d)", e.Message, e.Status)
}

// Client asks one running instance.
type Client struct {
	http   *http.Client
	origin string
	// address is for people.
	address string
	socket  bool // Caddy takes no Origin there
}

// New returns a client for an admin address, as Caddy spells it: host:port, or
// unix//path/to/socket.
func New(address string) (*Client, error) {
	a, err := caddy.ParseNetworkAddressWithDefaults(address, "tcp", 2019)
	if err != nil || a.PortRangeSize() > 1 {
		return nil, fmt.Errorf("%s is no address of an admin API", address)
	}
	network, target, origin := a.Network, a.JoinHostPort(0), "http://"+a.JoinHostPort(0)
	if a.IsUnixNetwork() {
		path, _, _ := strings.Cut(a.Host, "|") // its permissions
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

// Directory asks which store it is and how many customers it has.
func (c *Client) Directory(ctx context.Context) (Directory, error) {
	return do[Directory](ctx, c, http.MethodGet, "/switchboard/customers", nil)
}

// Customer gets a customer, as a flat object of names on the wire.
func (c *Client) Customer(ctx context.Context, id string) (json.RawMessage, error) {
	return do[json.RawMessage](ctx, c, http.MethodGet, customerPath(id), nil)
}

// PutCustomer inserts a customer, or replaces the one with that id. The record
// is a flat object of names on the wire.
func (c *Client) PutCustomer(ctx context.Context, id string, record []byte) (Changed, error) {
	return do[Changed](ctx, c, http.MethodPut, customerPath(id), record)
}

// DeleteCustomer deletes a customer, and what the instance keeps of them.
func (c *Client) DeleteCustomer(ctx context.Context, id string) (Changed, error) {
	return do[Changed](ctx, c, http.MethodDelete, customerPath(id), nil)
}

// APIs asks how all APIs stand.
func (c *Client) APIs(ctx context.Context) ([]API, error) {
	return do[[]API](ctx, c, http.MethodGet, "/switchboard/apis", nil)
}

// API asks how an API stands.
func (c *Client) API(ctx context.Context, name string) (API, error) {
	return do[API](ctx, c, http.MethodGet, "/switchboard/apis/"+url.PathEscape(name), nil)
}

// Hold stops calls of an API.
func (c *Client) Hold(ctx context.Context, api string) (API, error) {
	return do[API](ctx, c, http.MethodPost, "/switchboard/apis/"+url.PathEscape(api)+"/hold", nil)
}

// Release resumes calls of an API.
func (c *Client) Release(ctx context.Context, api string) (API, error) {
	return do[API](ctx, c, http.MethodPost, "/switchboard/apis/"+url.PathEscape(api)+"/release", nil)
}

// Cache asks how the cache does.
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

// maxAnswer is more than any answer is long.
const maxAnswer = 4 << 20

func do[T any](ctx context.Context, c *Client, method, path string, body []byte) (answer T, err error) {
	text, err := c.ask(ctx, method, path, body)
	if err != nil {
		return answer, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // what an API has said stays as it was written
	if err := d.Decode(&answer); err != nil {
		return answer, errors.New("the running instance does not answer as Switchboard does")
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

// Token is how a token source does: GET /switchboard/tokens/NAME. The token itself
// is never told. Times are left out where there are none.
type Token struct {
	Name string `json:"name"`
	// State is none, obtaining, fresh, due (to be renewed soon), renewing, or
	// failing (between attempts; a valid token may be held).
	State       string    `json:"state"`
	Static      bool      `json:"static"`                // configured, and never renewed
	Generation  uint64    `json:"generation"`            // of the token that is held; 0 without one
	Fingerprint string    `json:"fingerprint,omitempty"` // eight hex digits of its digest
	Obtained    time.Time `json:"obtained,omitzero"`
	Expires     time.Time `json:"expires,omitzero"`
	NextAttempt time.Time `json:"next_attempt,omitzero"` // of a renewal
	LastError   string    `json:"last_error,omitempty"`  // of the last renewal, when it failed, with the endpoint's own message
	// LastExchange is the last call of the token endpoint, masked; nil before the first.
	LastExchange *token.Exchange `json:"last_exchange,omitempty"`
}

// Tokens asks how all token sources do.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	return do[[]Token](ctx, c, http.MethodGet, "/switchboard/tokens", nil)
}

// RenewToken renews a token now, and waits for it.
func (c *Client) RenewToken(ctx context.Context, name string) (Token, error) {
	return do[Token](ctx, c, http.MethodPost, "/switchboard/tokens/"+url.PathEscape(name)+"/renew", nil)
}

// Hour is how an API's calls ended in the last hour: GET
// /switchboard/apis/NAME/hour. It is counted in memory, and a restart begins anew.
type Hour struct {
	Calls    uint64            `json:"calls"`
	P50      float64           `json:"p50_ms"` // of the time from request to answer; within 10 %
	P99      float64           `json:"p99_ms"`
	Outcomes map[string]uint64 `json:"outcomes"`
	Minutes  []Minute          `json:"minutes"` // 60, the current one last
}

// Minute is one of them. Without calls it has no times.
type Minute struct {
	Start    int64             `json:"start"` // Unix time in seconds
	Calls    uint64            `json:"calls"`
	P50      float64           `json:"p50_ms,omitempty"`
	P99      float64           `json:"p99_ms,omitempty"`
	Outcomes map[string]uint64 `json:"outcomes,omitempty"`
}

// Hour asks how an API's calls ended in the last hour.
func (c *Client) Hour(ctx context.Context, api string) (Hour, error) {
	return do[Hour](ctx, c, http.MethodGet, "/switchboard/apis/"+url.PathEscape(api)+"/hour", nil)
}
