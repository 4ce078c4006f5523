// Command files makes a few requests of each kind and writes down which files of
// the product each one ran through, for integration/tools/files.sh. It is Caddy itself,
// built with -cover -covermode=atomic: only from within can the counters be
// cleared.
package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/coverage"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/switchboard-ivr/switchboard"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

const config = `{
	admin {ADMIN}
	persist_config off
	log {
		output file {DIR}/log
	}
	switchboard {
		token crm {
			credential app_key demo-app
			credential app_secret demo-secret
			obtain {API}/token/get
			lifetime 2h
		}
		customers sqlite {DIR}/customers.db
		region CN
	}
}
http://{SITE} {
	bind 127.0.0.1
	api /order order {
		to {API}/open/order/query
		method GET
		token crm
		auth none
		query ` + "`{tel: .tel}`" + `
		success ` + "`.code == \"000000\"`" + `
		not_found ` + "`.data | blank`" + `
		output ` + "`{name: .data.nick, vip: .data.isVip}`" + `
		default ` + "`{name: \"\", vip: \"2\"}`" + `
	}
	customer_lookup /customer {
		auth none
		fields id nick tel
	}
}
`

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: files DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "files:", err)
		os.Exit(1)
	}
}

// rounds is how often each request is made, to tell what belongs to it from what
// is done once, or in the background.
const rounds = 5

// run writes the counters of each request to dir/KIND/ROUND.
func run(dir string) error {
	api := provider.New(provider.Options{})
	if err := api.Start("127.0.0.1:0"); err != nil {
		return err
	}
	defer api.Close()
	admin, err := freeAddress()
	if err != nil {
		return err
	}
	site, err := freeAddress()
	if err != nil {
		return err
	}
	text := strings.NewReplacer("{API}", api.URL(), "{ADMIN}", admin, "{SITE}", site, "{DIR}", dir).Replace(config)
	if err := os.Setenv("XDG_DATA_HOME", dir); err != nil { // where Caddy keeps tokens
		return err
	}
	json, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
	if err != nil {
		return err
	}
	if err := caddy.Load(json, true); err != nil {
		return err
	}
	defer func() { _ = caddy.Stop() }()

	if err := ask(http.MethodPut, admin, "/switchboard/customers/C1001", `{"id":"C1001","tel":"13800138000","nick":"Zhang"}`, ""); err != nil {
		return err
	}
	for _, kind := range []struct{ name, method, address, path, want string }{
		{"api", http.MethodGet, site, "/order?tel=13800138000", `"_status":"ok"`},
		{"sign-in", http.MethodPost, admin, "/switchboard/tokens/crm/renew", `"generation":`},
		{"lookup", http.MethodGet, site, "/customer?tel=013800138000", `"id":"C1001"`},
	} {
		for i := range rounds {
			if err := coverage.ClearCounters(); err != nil {
				return err
			}
			if err := ask(kind.method, kind.address, kind.path, "", kind.want); err != nil {
				return fmt.Errorf("%s: %w", kind.name, err)
			}
			if err := write(filepath.Join(dir, kind.name, strconv.Itoa(i))); err != nil {
				return err
			}
		}
	}
	return nil
}

func write(counters string) error {
	if err := os.MkdirAll(counters, 0o700); err != nil {
		return err
	}
	if err := coverage.WriteMetaDir(counters); err != nil {
		return err
	}
	return coverage.WriteCountersDir(counters)
}

// ask makes a request, and returns when its handler has: only then is the
// connection closed.
func ask(method, address, path, body, want string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Close = true
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := req.Write(conn); err != nil {
		return err
	}
	text, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(text)), req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode/100 != 2 || !bytes.Contains(answer, []byte(want))) {
		err = fmt.Errorf("got %s %s, want %s", res.Status, answer, want)
	}
	return err
}

// freeAddress is one on loopback that nobody listens on.
func freeAddress() (string, error) {
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
