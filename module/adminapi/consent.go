package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Connect begins a consent: POST /switchboard/tokens/NAME/connect.
type Connect struct {
	// Redirect is the redirect URI; default: the configured one.
	Redirect string `json:"redirect,omitempty"`
	// Port is that of a redirect URI on this machine which has none.
	Port int `json:"port,omitempty"`
}

// Consent is a consent under way.
type Consent struct {
	URL      string    `json:"url"`   // for the browser of the person who consents
	State    string    `json:"state"` // as in the URL; the redirect brings it back
	Redirect string    `json:"redirect"`
	Expires  time.Time `json:"expires"` // when it is too late
}

// Redirected ends a consent with the parameters of the redirect: POST
// /switchboard/tokens/NAME/connect/finish.
type Redirected struct {
	State       string `json:"state"`
	Code        string `json:"code,omitempty"`
	Issuer      string `json:"iss,omitempty"`
	Error       string `json:"error,omitempty"`
	Description string `json:"error_description,omitempty"`
}

// BeginConsent begins a consent for a token source.
func (c *Client) BeginConsent(ctx context.Context, name string, with Connect) (Consent, error) {
	body, err := json.Marshal(with)
	if err != nil {
		return Consent{}, err
	}
	return do[Consent](ctx, c, http.MethodPost, connectPath(name), body)
}

// EndConsent exchanges the code that a consent gave, and waits for the token.
func (c *Client) EndConsent(ctx context.Context, name string, back Redirected) (Token, error) {
	body, err := json.Marshal(back)
	if err != nil {
		return Token{}, err
	}
	return do[Token](ctx, c, http.MethodPost, connectPath(name)+"/finish", body)
}

func connectPath(name string) string {
	return "/switchboard/tokens/" + url.PathEscape(name) + "/connect"
}
