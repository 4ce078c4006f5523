package adminapi

import (
	"context"
	"net/http"
	"net/url"
)

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
