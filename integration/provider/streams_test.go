package provider_test

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/switchboard-ivr/switchboard/integration/provider"
)

func TestStreamedAnswers(t *testing.T) {
	s := start(t, provider.Options{StreamInterval: time.Millisecond})
	for _, tc := range []struct {
		path, contentType, body, length string
	}{
		{"/free/stream?events=2", "text/event-stream", "id: 0\ndata: {\"n\":0}\n\nid: 1\ndata: {\"n\":1}\n\n", ""},
		{"/free/chunked?chunks=2", "text/plain; charset=utf-8", "chunk 0\nchunk 1\n", ""},
		{"/free/ndjson?lines=2", "application/x-ndjson", "{\"line\":0}\n{\"line\":1}\n", ""},
		{"/free/big?bytes=7", "application/octet-stream", "xxxxxxx", "7"},
	} {
		r := get(t, s.URL()+tc.path)
		if r.header.Get("Content-Type") != tc.contentType || r.body != tc.body || r.header.Get("Content-Length") != tc.length {
			t.Errorf("%s: %q, %v", tc.path, r.body, r.header)
		}
		if tc.path == "/free/chunked?chunks=2" && r.trailer.Get("X-Chunks") != "2" {
			t.Errorf("trailer: %v", r.trailer)
		}
	}
	for path, want := range map[string]int{"/free/big": 1 << 20, "/free/big?bytes=-1": 1 << 20, "/free/ndjson": 55, "/free/chunked": 24} {
		if r := get(t, s.URL()+path); len(r.body) != want {
			t.Errorf("%s: %d bytes", path, len(r.body))
		}
	}
}

func TestEventsComeOneByOneUntilTheCallerLeaves(t *testing.T) {
	s := start(t, provider.Options{StreamInterval: time.Millisecond})
	resp, err := send(t, http.MethodGet, s.URL()+"/free/stream", "", "")
	if err != nil {
		t.Fatal(err)
	}
	events := 0
	for scanner := bufio.NewScanner(resp.Body); events < 5 && scanner.Scan(); {
		if strings.HasPrefix(scanner.Text(), "data: ") {
			events++
		}
	}
	_ = resp.Body.Close()
	s.Close()
	if events != 5 {
		t.Errorf("%d events", events)
	}
}

func TestGzipAnswer(t *testing.T) {
	s := start(t, provider.Options{})
	zr, err := gzip.NewReader(strings.NewReader(get(t, s.URL()+"/free/gzip?bytes=5000").body))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(zr)
	if err != nil || len(plain) != 5000 || !json.Valid(plain) {
		t.Errorf("%d bytes, %v", len(plain), err)
	}
}

func TestUpload(t *testing.T) {
	s := start(t, provider.Options{})
	token, _ := signIn(t, s)
	sent := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB: more than any buffered route takes
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL()+"/upload", strings.NewReader(sent))
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := read(t, resp)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(sent))
	r := reply{body: body}
	if r.at(t, "bytes") != "4194304" || r.at(t, "sha256") != hex.EncodeToString(sum[:]) {
		t.Errorf("answer: %s", body)
	}
}

func TestBodiesCutShort(t *testing.T) {
	s := start(t, provider.Options{})
	for path, status := range map[string]string{"/free/upload": "", "/free/echo": "HTTP/1.1 400 Bad Request"} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL(), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this")
		_ = conn.(*net.TCPConn).CloseWrite()
		answer, err := io.ReadAll(conn)
		_ = conn.Close()
		if line, _, _ := strings.Cut(string(answer), "\r\n"); line != status || err != nil {
			t.Errorf("%s: %q, %v", path, line, err)
		}
		if e := last(s); e.Outcome != "body_cut_short" {
			t.Errorf("ledger: %+v", e)
		}
	}
}

func TestWebsocket(t *testing.T) {
	s := start(t, provider.Options{})
	token, _ := signIn(t, s)
	url := "ws" + strings.TrimPrefix(s.URL(), "http") + "/ws"
	conn, resp, err := websocket.DefaultDialer.Dial(url, http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = resp.Body.Close()
	for _, kind := range []int{websocket.TextMessage, websocket.BinaryMessage} {
		if err := conn.WriteMessage(kind, []byte("ping 张三")); err != nil {
			t.Fatal(err)
		}
		gotKind, message, err := conn.ReadMessage()
		if err != nil || gotKind != kind || string(message) != "ping 张三" {
			t.Errorf("back: %d %q %v", gotKind, message, err)
		}
	}
	if e := last(s); e.Status != http.StatusSwitchingProtocols || e.Token != token {
		t.Errorf("ledger: %+v", e)
	}
	s.Stop() // returns although the socket was open
	if _, _, err := conn.ReadMessage(); err == nil {
		t.Error("the socket outlived the server")
	}
}

func TestWebsocketRefusals(t *testing.T) {
	s := start(t, provider.Options{})
	if r := get(t, s.URL()+"/free/ws"); r.status != http.StatusUpgradeRequired {
		t.Errorf("without an upgrade: %d", r.status)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/free/ws", nil)
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(t, resp); err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("without a key: %d, %v", resp.StatusCode, err)
	}
}
