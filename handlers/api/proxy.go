package api

import (
	"encoding/json"
	"fmt"
)

// proxy makes the reverse_proxy handler that calls the API. A handler that is
// already configured keeps everything but its transport, which becomes ours:
// Caddy's http transport with the token injected below it.
func (a *API) proxy(configured json.RawMessage) (json.RawMessage, error) {
	to := a.target
	handler := make(map[string]any)
	if configured != nil {
		if err := json.Unmarshal(configured, &handler); err != nil {
			return nil, err
		}
	}
	handler["handler"] = "reverse_proxy"
	if _, ok := handler["upstreams"]; !ok && handler["dynamic_upstreams"] == nil {
		dial := to.dial
		if to.keep != "" {
			dial = "{http.api.upstream}"
		}
		handler["upstreams"] = []any{map[string]any{"dial": dial}}
	}
	transport, _ := handler["transport"].(map[string]any)
	if transport == nil {
		transport = make(map[string]any)
	}
	if protocol := transport["protocol"]; protocol != nil && protocol != "http" && protocol != "switchboard" {
		return nil, fmt.Errorf("transport %v can't carry a token; write `transport http { … }`", protocol)
	}
	transport["protocol"] = "switchboard"
	transport["keep_host"] = true
	if a.Token != "" {
		transport["token"] = a.Token
	}
	if a.TokenExpired != nil {
		transport["token_expired"] = a.TokenExpired
	}
	if a.MaxSize != 0 {
		transport["max_size"] = a.MaxSize
	}
	if a.MaxHeader != 0 {
		transport["max_response_header_size"] = a.MaxHeader
	}
	if to.scheme == "https" && transport["tls"] == nil {
		transport["tls"] = map[string]any{}
	}
	handler["transport"] = transport
	return json.Marshal(handler)
}

// injects tells whether some reverse_proxy of the chain, at any depth, has the
// transport that injects the API's token.
func (a *API) injects() bool {
	for _, raw := range a.HandleRaw {
		var handler any
		if json.Unmarshal(raw, &handler) == nil && hasTransport(handler, a.Token) {
			return true
		}
	}
	return false
}

func hasTransport(v any, name string) bool {
	switch v := v.(type) {
	case map[string]any:
		if v["protocol"] == "switchboard" && v["token"] == name {
			return true
		}
		for _, child := range v {
			if hasTransport(child, name) {
				return true
			}
		}
	case []any:
		for _, child := range v {
			if hasTransport(child, name) {
				return true
			}
		}
	}
	return false
}
