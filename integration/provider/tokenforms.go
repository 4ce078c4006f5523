package provider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// grantOf finds the object that holds the tokens of a token answer: its data,
// or all of it. It is nil in a refusal.
func grantOf(a *answer) (whole, grant map[string]any) {
	if a.outcome != outcomeOK || json.Unmarshal(a.body, &whole) != nil {
		return nil, nil
	}
	if data, ok := whole["data"].(map[string]any); ok {
		return whole, data
	}
	return whole, whole
}

// asForm writes a token answer as a form, as some older OAuth servers do.
func asForm(a *answer) {
	_, grant := grantOf(a)
	if grant == nil {
		return
	}
	form := make(url.Values, len(grant))
	for name, value := range grant {
		form.Set(name, fmt.Sprint(value))
	}
	a.body = []byte(form.Encode())
	a.header["Content-Type"] = "application/x-www-form-urlencoded"
}

// asText writes nothing but the access token.
func asText(a *answer) {
	if _, grant := grantOf(a); grant != nil {
		a.body = fmt.Append(nil, grant["access_token"], "\n")
		a.header["Content-Type"] = "text/plain; charset=utf-8"
	}
}

// asHeader gives the access token in a header and no body, with 201.
func asHeader(a *answer) {
	if _, grant := grantOf(a); grant != nil {
		a.header["X-Subject-Token"] = fmt.Sprint(grant["access_token"])
		a.status, a.body = http.StatusCreated, nil
	}
}

// numberRefresh gives a number where the refresh token should be.
func numberRefresh(a *answer) {
	whole, grant := grantOf(a)
	if grant == nil {
		return
	}
	grant["refresh_token"] = 5
	again := asJSON(a.outcome, a.status, whole)
	a.body = again.body
}
