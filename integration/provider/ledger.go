package provider

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// Kinds of calls: what the ledger calls them and what faults aim at.
const (
	TokenGet     = "token-get"     // POST /token/get
	TokenRefresh = "token-refresh" // POST /token/refresh
	Authorize    = "authorize"     // GET /oauth2/authorize, by a browser
	OAuth2       = "oauth2"        // POST /oauth2/token
	API          = "api"           // everything else
)

// ledgerSize bounds the ledger; the oldest entries are dropped.
const ledgerSize = 100_000

// bodyKept is how much of a request's body an entry keeps.
const bodyKept = 1024

// Entry is one call as the server saw it. It is written when the call arrives,
// and completed before its answer leaves.
type Entry struct {
	// Seq counts the calls from 1.
	Seq int `json:"seq"`
	// Time of arrival.
	Time time.Time `json:"time"`
	// Kind is TokenGet, TokenRefresh, Authorize, OAuth2 or API.
	Kind string `json:"kind"`
	// Outcome is "ok", "not_found", the reason of a refusal in snake_case, or
	// "fault" when a fault answered instead. Empty while the call runs.
	Outcome string `json:"outcome"`
	// Fault is the fault that met the call, latency and clock-shift aside.
	Fault string `json:"fault,omitempty"`

	Method      string `json:"method"`
	Host        string `json:"host"`
	Path        string `json:"path"`  // as it was escaped
	Query       string `json:"query"` // raw
	ContentType string `json:"content_type,omitempty"`
	// Via says how the parameters travelled: "json", "form", "query", or two
	// of them, "form+query".
	Via string `json:"via,omitempty"`
	// Header holds what came of the headers in keptHeaders.
	Header http.Header `json:"header,omitempty"`
	// Body is the beginning of the body, at most 1024 bytes.
	Body string `json:"body,omitempty"`

	// Token is the access token that an API call carried, and TokenAt where:
	// "authorization", a header's name in lower case, "query", "body".
	Token   string   `json:"token,omitempty"`
	TokenAt []string `json:"token_at,omitempty"`
	// TokenState is "live", "expired", "superseded" (by a newer one), "revoked"
	// (died early) or "unknown".
	TokenState string `json:"token_state,omitempty"`
	// Generation counts the issued tokens: of the token that was seen, or issued.
	Generation int `json:"generation,omitempty"`
	// RefreshToken is what a token call presented.
	RefreshToken string `json:"refresh_token,omitempty"`
	// Issued is the access token that a token call was given, even if the
	// answer never arrived.
	Issued string `json:"issued,omitempty"`

	// Status of the answer; 0 when there was none.
	Status int `json:"status"`
}

// keptHeaders are those of a request that tests ask for.
var keptHeaders = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Connection", "Content-Length", "Cookie",
	"Idempotency-Key", "If-None-Match", "Range", "Referer", "Token", "Traceparent", "User-Agent", "Via",
	"X-Access-Token", "X-Call-Id", "X-Forwarded-For", "X-Request-Id", "X-Tenant",
}

func keepHeaders(h http.Header) http.Header {
	kept := http.Header{}
	for _, name := range keptHeaders {
		if v, ok := h[name]; ok {
			kept[name] = v
		}
	}
	return kept
}

// ledger is a ring of entries.
type ledger struct {
	mu   sync.Mutex
	seq  int
	ring []Entry
}

// begin writes down a call and gives it its number.
func (l *ledger) begin(e *Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	e.Seq = l.seq
	if len(l.ring) < ledgerSize {
		l.ring = append(l.ring, *e)
		return
	}
	l.ring[(e.Seq-1)%ledgerSize] = *e
}

// finish completes a call's entry, unless the ring has gone past it.
func (l *ledger) finish(e *Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := &l.ring[(e.Seq-1)%ledgerSize]; at.Seq == e.Seq {
		*at = *e
	}
}

func (l *ledger) entries() Entries {
	l.mu.Lock()
	defer l.mu.Unlock()
	start := 0
	if l.seq > ledgerSize {
		start = l.seq % ledgerSize
	}
	return append(slices.Clone(l.ring[start:]), l.ring[:start]...)
}

// Entries are a part of the ledger, oldest first. Its methods narrow it down,
// one after the other.
type Entries []Entry

// Where keeps the entries for which f is true.
func (es Entries) Where(f func(Entry) bool) Entries {
	var kept Entries
	for _, e := range es {
		if f(e) {
			kept = append(kept, e)
		}
	}
	return kept
}

// Kind keeps the entries of these kinds.
func (es Entries) Kind(kinds ...string) Entries {
	return es.Where(func(e Entry) bool { return slices.Contains(kinds, e.Kind) })
}

// TokenCalls keeps the calls to a token endpoint.
func (es Entries) TokenCalls() Entries { return es.Kind(TokenGet, TokenRefresh, OAuth2) }

// Outcome keeps the entries that ended so.
func (es Entries) Outcome(outcome string) Entries {
	return es.Where(func(e Entry) bool { return e.Outcome == outcome })
}

// Since keeps the entries after the one with this number.
func (es Entries) Since(seq int) Entries {
	return es.Where(func(e Entry) bool { return e.Seq > seq })
}

// Last is the number of the last entry, 0 if there is none: for Since.
func (es Entries) Last() int {
	if len(es) == 0 {
		return 0
	}
	return es[len(es)-1].Seq
}

// Count is how many calls of a kind ended so; an empty word means any.
func (es Entries) Count(kind, outcome string) int {
	return len(es.Where(func(e Entry) bool {
		return (kind == "" || e.Kind == kind) && (outcome == "" || e.Outcome == outcome)
	}))
}

// Tokens are the different access tokens that API calls carried, in the order
// of their first use.
func (es Entries) Tokens() []string {
	return distinct(es, func(e Entry) string { return e.Token })
}

// Issued are the different access tokens that token calls were given.
func (es Entries) Issued() []string {
	return distinct(es, func(e Entry) string { return e.Issued })
}

// RefreshTokensUsedTwice are the refresh tokens that were presented more than
// once, whatever came of it. There must be none after a transport error, as the
// token may be spent.
func (es Entries) RefreshTokensUsedTwice() []string {
	uses := map[string]int{}
	var twice []string
	for _, e := range es {
		if e.RefreshToken == "" {
			continue
		}
		if uses[e.RefreshToken]++; uses[e.RefreshToken] == 2 {
			twice = append(twice, e.RefreshToken)
		}
	}
	return twice
}

func distinct(es Entries, of func(Entry) string) []string {
	var values []string
	seen := map[string]bool{}
	for _, e := range es {
		if v := of(e); v != "" && !seen[v] {
			seen[v] = true
			values = append(values, v)
		}
	}
	return values
}
