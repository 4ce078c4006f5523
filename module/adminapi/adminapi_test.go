package adminapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// instance answers with a text, and tells what it was asked.
func instance(t *testing.T, status int, answer string) (*adminapi.Client, func() string) {
	t.Helper()
	var asked string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = r.Method + " " + r.URL.EscapedPath()
		if r.URL.RawQuery != "" {
			asked += "?" + r.URL.RawQuery
		}
		if len(body) > 0 {
			asked += " " + string(body)
		}
		if r.Header.Get("Origin") != "http://"+r.Host {
			t.Errorf("Origin %q: Caddy would refuse it", r.Header.Get("Origin"))
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	client, err := adminapi.New(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	return client, func() string { return asked }
}

// Each method asks for what it says, with names escaped.
func TestWhatIsAsked(t *testing.T) {
	call := adminapi.Test{Params: map[string]any{"tel": "138"}, DryRun: true}
	for want, ask := range map[string]func(ctx context.Context, c *adminapi.Client) error{
		"GET /switchboard/customers":       func(ctx context.Context, c *adminapi.Client) error { _, err := c.Directory(ctx); return err },
		"GET /switchboard/customers/a%2Fb": func(ctx context.Context, c *adminapi.Client) error { _, err := c.Customer(ctx, "a/b"); return err },
		`PUT /switchboard/customers/a%2Fb {"nick":"Ann"}`: func(ctx context.Context, c *adminapi.Client) error {
			_, err := c.PutCustomer(ctx, "a/b", []byte(`{"nick":"Ann"}`))
			return err
		},
		"DELETE /switchboard/customers/a%2Fb": func(ctx context.Context, c *adminapi.Client) error {
			_, err := c.DeleteCustomer(ctx, "a/b")
			return err
		},
		"POST /switchboard/apis/a%2Fb/hold":                                         func(ctx context.Context, c *adminapi.Client) error { _, err := c.Hold(ctx, "a/b"); return err },
		"POST /switchboard/apis/a%2Fb/release":                                      func(ctx context.Context, c *adminapi.Client) error { _, err := c.Release(ctx, "a/b"); return err },
		`POST /switchboard/apis/a%2Fb/test {"params":{"tel":"138"},"dry_run":true}`: func(ctx context.Context, c *adminapi.Client) error { _, err := c.Test(ctx, "a/b", call); return err },
		"GET /switchboard/cache":                                                    func(ctx context.Context, c *adminapi.Client) error { _, err := c.Cache(ctx); return err },
		`POST /switchboard/cache/purge {"api":"order","params":{"tel":"138"}}`: func(ctx context.Context, c *adminapi.Client) error {
			_, err := c.PurgeCache(ctx, adminapi.Purge{API: "order", Params: json.RawMessage(`{"tel":"138"}`)})
			return err
		},
		"POST /switchboard/tokens/a%2Fb/renew": func(ctx context.Context, c *adminapi.Client) error { _, err := c.RenewToken(ctx, "a/b"); return err },
	} {
		client, asked := instance(t, http.StatusOK, "{}")
		if err := ask(t.Context(), client); err != nil || asked() != want {
			t.Errorf("asked %s, want %s; %v", asked(), want, err)
		}
	}
	for want, ask := range map[string]func(ctx context.Context, c *adminapi.Client) error{
		"GET /switchboard/apis":   func(ctx context.Context, c *adminapi.Client) error { _, err := c.APIs(ctx); return err },
		"GET /switchboard/tokens": func(ctx context.Context, c *adminapi.Client) error { _, err := c.Tokens(ctx); return err },
		"GET /switchboard/apis/order/failures": func(ctx context.Context, c *adminapi.Client) error {
			_, err := c.Failures(ctx, "order", "")
			return err
		},
		"GET /switchboard/apis/order/failures?call_id=a%26b%3D": func(ctx context.Context, c *adminapi.Client) error {
			_, err := c.Failures(ctx, "order", "a&b=")
			return err
		},
	} {
		client, asked := instance(t, http.StatusOK, "[]")
		if err := ask(t.Context(), client); err != nil || asked() != want {
			t.Errorf("asked %s, want %s; %v", asked(), want, err)
		}
	}
}

// Errors are in words, and do not contain what was requested.
func TestWhatGoesWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		answer string
		want   string
	}{
		"a refusal":              {404, `{"error":"there is no such customer"}`, "there is no such customer (404)"},
		"a refusal of another's": {502, `<html>`, "Bad Gateway (502)"},
		"another server":         {200, `<html>`, "does not respond like Switchboard"},
	} {
		client, _ := instance(t, tc.status, tc.answer)
		if _, err := client.Customer(t.Context(), "13800138000"); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	_ = ln.Close()
	client, err := adminapi.New(address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Cache(t.Context()); !errors.Is(err, adminapi.ErrNobody) || !strings.Contains(err.Error(), address) {
		t.Errorf("nobody listens: %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	client, _ = instance(t, 200, "{}")
	if _, err := client.Customer(canceled, "13800138000"); err == nil || strings.Contains(err.Error(), "138") {
		t.Errorf("a call that was given up: %v", err)
	}
	if _, err := adminapi.New("127.0.0.1:1-9"); err == nil {
		t.Error("a range of ports is taken for an address")
	}
}

func TestASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" {
			t.Error("Caddy takes no Origin at a socket")
		}
		_, _ = io.WriteString(w, `{"size":7}`)
	})}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	client, err := adminapi.New("unix/" + path + "|0600")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := client.Cache(t.Context()); err != nil || c.Size != 7 {
		t.Errorf("got %+v, %v", c, err)
	}
}
