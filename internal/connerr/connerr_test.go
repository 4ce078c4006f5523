package connerr

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

// certificate makes a self-signed certificate for a name.
func certificate(t *testing.T, name string, from, to time.Duration) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(from), NotAfter: now.Add(to), DNSNames: []string{name}, IPAddresses: []net.IP{},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if name == "127.0.0.1" {
		template.IPAddresses = append(template.IPAddresses, net.IPv4(127, 0, 0, 1))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func serveTLS(t *testing.T, c *tls.Config) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = c
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// answers listens, and answers each connection with bytes of its own.
func answers(t *testing.T, text string, reset bool) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, text)
			if reset {
				_ = conn.(*net.TCPConn).SetLinger(0)
			}
			_ = conn.Close()
		}
	}()
	return ln.Addr().String()
}

// What an operator has to know is in the words, and no address or URL is.
func TestReason(t *testing.T) {
	trusted := func(c tls.Certificate) *tls.Config {
		pool := x509.NewCertPool()
		pool.AddCert(c.Leaf)
		return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	serve := func(c tls.Certificate) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12}
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	good := certificate(t, "127.0.0.1", -time.Hour, time.Hour)
	other := certificate(t, "crm.example.com", -time.Hour, time.Hour)
	old := certificate(t, "127.0.0.1", -2*time.Hour, -time.Hour)
	picky := serve(good)
	picky.ClientAuth = tls.RequireAnyClientCert
	picky.MaxVersion = tls.VersionTLS12

	for _, tc := range []struct {
		name, url string
		config    *tls.Config
		want      string
	}{
		{"nobody listens", closed.URL, nil, "can't connect: connection refused"},
		{"https to a plain port", "https" + strings.TrimPrefix(plain.URL, "http"), nil, "does not speak TLS"},
		{"an unknown authority", serveTLS(t, serve(good)), nil, "certificate is not trusted: it is signed by an unknown authority"},
		{"a certificate for another name", serveTLS(t, serve(other)), trusted(other), "it is for another host name"},
		{"an expired certificate", serveTLS(t, serve(old)), trusted(old), "it has expired"},
		{"a client certificate is wanted", serveTLS(t, picky), trusted(good), "TLS handshake failed"},
		{"an alert for an answer", "http://" + answers(t, "\x15\x03\x01\x00\x02\x02\x0a", false), nil, "this port speaks TLS"},
		{"another protocol", "http://" + answers(t, "SSH-2.0-OpenSSH_9.6\r\n", false), nil, "not HTTP"},
		{"closed before an answer", "http://" + answers(t, "", false), nil, "closed before an answer"},
		{"reset before an answer", "http://" + answers(t, "", true), nil, "reset before an answer"},
		{"too many headers", "http://" + answers(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 70<<10)+"\r\n\r\n", false), nil, "header is too large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rt := &http.Transport{TLSClientConfig: tc.config, MaxResponseHeaderBytes: 32 << 10}
			defer rt.CloseIdleConnections()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tc.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := rt.RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
				t.Fatal("it went through")
			}
			reason := Reason(err)
			if !strings.Contains(reason, tc.want) {
				t.Errorf("got %q of %v, want %q", reason, err, tc.want)
			}
			if strings.Contains(reason, "127.0.0.1") || strings.Contains(reason, "example.com") {
				t.Errorf("%q names the host", reason)
			}
			if HeaderTooLarge(err) != (tc.name == "too many headers") {
				t.Errorf("HeaderTooLarge of %v", err)
			}
			// as net/http's client gives it
			if wrapped := Reason(&url.Error{Op: "Get", URL: tc.url, Err: err}); wrapped != reason {
				t.Errorf("wrapped: %q", wrapped)
			}
		})
	}
}

func TestReasonOfMadeErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"nil", nil, ""},
		{"the caller left", &url.Error{Err: context.Canceled}, ""},
		{"the time ended", context.DeadlineExceeded, ""},
		{"no such host", &net.OpError{Op: "dial", Err: &net.DNSError{Name: "secret.example.com", IsNotFound: true}}, "the host's name can't be resolved: there is no such host"},
		{"a dead name server", &net.DNSError{Name: "secret.example.com", Server: "10.0.0.1", IsTimeout: true}, "the host's name can't be resolved: the name server does not answer"},
		{"a broken name server", &net.DNSError{Err: "server misbehaving"}, "the host's name can't be resolved: the name server has failed"},
		{"no route", &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, "can't connect: no route to host"},
		{"no network", &net.OpError{Op: "dial", Err: syscall.ENETUNREACH}, "can't connect: network is unreachable"},
		{"a dial that nobody answers", &net.OpError{Op: "dial", Err: syscall.ETIMEDOUT}, "can't connect: no answer in time"},
		{"a dial's time-out", &net.OpError{Op: "dial", Err: timeoutError{}}, "can't connect: no answer in time"},
		{"the outgoing proxy", &net.OpError{Op: "proxyconnect", Err: errors.New("10.0.0.1")}, "can't connect through the outgoing proxy"},
		{"no handshake", errors.New("net/http: TLS handshake timeout"), "no TLS handshake in time"},
		{"an old version", errors.New("tls: protocol version not supported"), "the TLS handshake failed: protocol version not supported"},
		{"HTTP/2 headers", errors.New("http2: response header list larger than advertised limit"), "the answer's header is too large"},
		{"TLS words", fmt.Errorf("x: %w", ErrTLSPort), "this port speaks TLS; write https instead of http"},
		{"anything else", errors.New("secret"), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Reason(tc.err); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

type timeoutError struct{}

func (timeoutError) Error() string   { return "i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// Caddy's transport hides why a dial failed behind an error without Unwrap.
func TestKeepCause(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	errHidden := errors.New("hidden")
	rt := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, errHidden
		}
		return conn, nil
	}}
	KeepCause(rt)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, closed.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatal("it went through")
	}
	if got := Reason(err); got != "can't connect: connection refused" {
		t.Errorf("got %q", got)
	}
	if !errors.Is(err, errHidden) || err.Error() != "hidden" {
		t.Errorf("%v is no longer what it was", err)
	}
	KeepCause(new(http.Transport)) // without a DialContext there is nothing to keep
}

func TestSaysTLSPort(t *testing.T) {
	url := serveTLS(t, nil)
	resp, err := http.Get("http" + strings.TrimPrefix(url, "https"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusBadRequest || !SaysTLSPort(body) {
		t.Errorf("%d %q %v", resp.StatusCode, body, err)
	}
	if SaysTLSPort([]byte(`{"error":"the parameter https is missing"}`)) {
		t.Error("an API's own refusal")
	}
}
