package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Writes are the writes of an API that are remembered because they happen once: GET
// /switchboard/apis/NAME/once.
type Writes struct {
	Writes     []Write `json:"writes"`               // the newest first, at most 1000
	Unreadable int     `json:"unreadable,omitempty"` // records that are damaged or sealed with other credentials
	More       bool    `json:"more,omitempty"`       // there are others
}

// Write is one write: POST /switchboard/apis/NAME/once with a WriteKey.
type Write struct {
	Key       string    `json:"key"`                 // masked
	State     string    `json:"state"`               // one of WriteUnderWay, WriteAnswered and WriteUnknown
	Outcome   string    `json:"outcome,omitempty"`   // of an answered one
	Reason    string    `json:"reason,omitempty"`    // why it is unknown
	Sent      time.Time `json:"sent,omitzero"`       // when it was sent first
	Expires   time.Time `json:"expires,omitzero"`    // when it is no longer remembered
	Forgotten bool      `json:"forgotten,omitempty"` // it was deleted just now
}

// The states of a write.
const (
	WriteUnderWay = "under_way"
	WriteAnswered = "answered"
	WriteUnknown  = "unknown"
)

// WriteKey names a write.
type WriteKey struct {
	Key string `json:"key"`
}

// Writes returns the writes of an API that are remembered.
func (c *Client) Writes(ctx context.Context, api string) (Writes, error) {
	return do[Writes](ctx, c, http.MethodGet, writesPath(api), nil)
}

// Write returns the write of an API with that key.
func (c *Client) Write(ctx context.Context, api, key string) (Write, error) {
	return c.withKey(ctx, writesPath(api), key)
}

// ForgetWrite deletes the record of a write, so that a repeat is sent again.
func (c *Client) ForgetWrite(ctx context.Context, api, key string) (Write, error) {
	return c.withKey(ctx, writesPath(api)+"/forget", key)
}

func (c *Client) withKey(ctx context.Context, path, key string) (Write, error) {
	body, err := json.Marshal(WriteKey{key})
	if err != nil {
		return Write{}, err
	}
	return do[Write](ctx, c, http.MethodPost, path, body)
}

func writesPath(api string) string { return "/switchboard/apis/" + url.PathEscape(api) + "/once" }
