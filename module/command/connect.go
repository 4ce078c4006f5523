package command

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

func connect() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "connect NAME",
		Short: "Connects a token source with the consent of a person",
		Long: `Connects a token source that has "authorize" with the consent of a person: prints the
URL to open in a browser, waits for the browser to come back with a code, and lets the
running instance exchange it. That takes 10 minutes at most.

The browser must run on this machine. Where it doesn't, or where the API redirects it
elsewhere, use --paste: the address that it shows at the end is read from stdin then,
or the code alone.`,
		Args: cobra.ExactArgs(1),
	}
	paste := cmd.Flags().Bool("paste", false, "read the address that the browser shows at the end from stdin, or the code alone")
	redirect := cmd.Flags().String("redirect", "", "redirect `URL`; default: that of the configuration")
	return query(cmd, tokenNames, func(ctx context.Context, client *adminapi.Client, out io.Writer, args []string) error {
		c := connection{client: client, name: args[0], out: out, messages: cmd.ErrOrStderr(), in: cmd.InOrStdin()}
		connected, err := c.connect(ctx, *redirect, *paste)
		if err != nil {
			return err
		}
		return printTokens(out, []adminapi.Token{connected})
	})
}

// connection is a consent on its way.
type connection struct {
	client        *adminapi.Client
	name          string
	in            io.Reader
	out, messages io.Writer
}

func (c *connection) connect(ctx context.Context, redirect string, paste bool) (adminapi.Token, error) {
	with := adminapi.Connect{Redirect: redirect}
	var free net.Listener // for a redirect URI without a port
	if !paste {
		var err error
		if free, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			return adminapi.Token{}, fmt.Errorf("listening for the browser: %w; use --paste", err)
		}
		defer free.Close()
		with.Port = free.Addr().(*net.TCPAddr).Port
	}
	begun, err := c.client.BeginConsent(ctx, c.name, with)
	if err != nil {
		return adminapi.Token{}, err
	}
	ctx, cancel := context.WithDeadlineCause(ctx, begun.Expires, errors.New("nobody consented in time; run the command again"))
	defer cancel()
	to, err := url.Parse(begun.Redirect)
	if err != nil {
		return adminapi.Token{}, errors.New("the running instance gave a redirect URI that can't be read")
	}
	if paste || to.Scheme != "http" {
		return c.fromStdin(ctx, begun)
	}
	return c.fromBrowser(ctx, begun, to, free)
}

// prompt prints the URL, and what to do with it.
func (c *connection) prompt(begun adminapi.Consent, then string) {
	fmt.Fprintln(c.messages, "Open this URL in a browser, and consent:")
	fmt.Fprintln(c.out, begun.URL)
	fmt.Fprintln(c.messages, then)
}

// fromStdin waits for somebody to paste what the browser brought back.
func (c *connection) fromStdin(ctx context.Context, begun adminapi.Consent) (adminapi.Token, error) {
	c.prompt(begun, "Then paste the address that the browser shows, which begins with "+begun.Redirect+", or the code alone:")
	lines := bufio.NewScanner(c.in)
	text := ""
	for text == "" {
		if !lines.Scan() {
			return adminapi.Token{}, cmp.Or(lines.Err(), errors.New("nothing was pasted"))
		}
		text = strings.TrimSpace(lines.Text())
	}
	back, err := parsePasted(text, begun.State)
	if err != nil {
		return adminapi.Token{}, err
	}
	if ctx.Err() != nil {
		return adminapi.Token{}, context.Cause(ctx)
	}
	return c.client.EndConsent(ctx, c.name, back)
}

// fromBrowser waits for the browser to be redirected here.
func (c *connection) fromBrowser(ctx context.Context, begun adminapi.Consent, to *url.URL, free net.Listener) (adminapi.Token, error) {
	listeners, err := listenersFor(ctx, to, free)
	if err != nil {
		return adminapi.Token{}, fmt.Errorf("listening at %s: %w; use --paste, or --redirect with another one", begun.Redirect, err)
	}
	r := &receiver{state: begun.State, path: cmp.Or(to.Path, "/"), back: make(chan adminapi.Redirected), result: make(chan error, 1)}
	server := &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	for _, l := range listeners {
		go func() { _ = server.Serve(l) }() // until Shutdown
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx) // once the page is sent
	}()
	c.prompt(begun, "Waiting for it at "+begun.Redirect+" …")
	select {
	case back := <-r.back:
		connected, err := c.client.EndConsent(ctx, c.name, back)
		r.result <- err
		return connected, err
	case <-ctx.Done():
		return adminapi.Token{}, context.Cause(ctx)
	}
}

// listenersFor listens where a redirect URI points to: at free, if that is the place. A
// browser may take localhost to be either of two addresses.
func listenersFor(ctx context.Context, to *url.URL, free net.Listener) ([]net.Listener, error) {
	port := cmp.Or(to.Port(), "80")
	hosts := []string{to.Hostname()}
	if to.Hostname() == "localhost" {
		hosts = []string{"127.0.0.1", "::1"}
	}
	var listeners []net.Listener
	for i, host := range hosts {
		address := net.JoinHostPort(host, port)
		if free.Addr().String() == address {
			listeners = append(listeners, free)
			continue
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		switch {
		case err == nil:
			listeners = append(listeners, l)
		case i == 0: // the other address of localhost may be missing
			return nil, err
		}
	}
	return listeners, nil
}

// receiver receives the browser's redirect.
type receiver struct {
	state, path string
	back        chan adminapi.Redirected
	result      chan error
}

// page is what the browser shows at the end.
var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Switchboard</title>
<meta name="viewport" content="width=device-width"><body style="font:1.1rem/1.5 system-ui;margin:4rem auto;max-width:40rem;padding:0 1rem">
<h1>{{.Title}}</h1><p>{{.Text}}</p></body></html>
`))

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	show := func(status int, title, text string) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer") // the address holds the code
		w.WriteHeader(status)
		_ = page.Execute(w, map[string]string{"Title": title, "Text": text})
	}
	if req.URL.Path != r.path || req.Method != http.MethodGet {
		http.NotFound(w, req)
		return
	}
	back, err := parseRedirect(req.URL.RawQuery)
	switch {
	case err != nil:
		show(http.StatusBadRequest, "Not connected", err.Error())
		return
	case back.State != r.state: // somebody else's; the right one may still come
		show(http.StatusBadRequest, "Not connected", "This answer doesn't belong to the consent that the command waits for.")
		return
	}
	select {
	case r.back <- back:
	case <-req.Context().Done():
		return
	}
	select {
	case err = <-r.result:
	case <-req.Context().Done():
		return
	}
	if err != nil {
		show(http.StatusBadGateway, "Not connected", err.Error())
		return
	}
	show(http.StatusOK, "Connected", "You can close this window.")
}

// maxPasted is more than any address or code.
const maxPasted = 16 << 10

// parsePasted reads what somebody pasted: the address that the browser shows, a part of
// it that begins with the query, or the code alone. Then the state is the given one.
func parsePasted(text, state string) (adminapi.Redirected, error) {
	text = strings.Trim(strings.TrimSpace(text), `"'<>`)
	if len(text) > maxPasted {
		return adminapi.Redirected{}, errors.New("this is too long for a code or an address")
	}
	if _, query, ok := strings.Cut(text, "?"); ok {
		return parseRedirect(query)
	}
	switch {
	case strings.Contains(text, "code=") || strings.Contains(text, "error="):
		return parseRedirect(text)
	case text == "" || strings.Contains(text, "://") || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return adminapi.Redirected{}, errors.New("this is neither a code nor an address with one; paste the whole address that the browser shows after the consent")
	}
	code, err := url.PathUnescape(text) // as it stands in an address
	if err != nil {
		code = text
	}
	return adminapi.Redirected{State: state, Code: code}, nil
}

// parseRedirect reads the query of a redirect (RFC 6749, section 4.1.2). No parameter
// may come twice (section 3.1).
func parseRedirect(query string) (back adminapi.Redirected, err error) {
	query, _, _ = strings.Cut(query, "#")
	values, _ := url.ParseQuery(query) // what can't be read is none of ours
	for name, into := range map[string]*string{
		"state": &back.State, "code": &back.Code, "iss": &back.Issuer, "error": &back.Error, "error_description": &back.Description,
	} {
		if len(values[name]) > 1 {
			return back, fmt.Errorf("the address has %s twice; begin again", name)
		}
		*into = values.Get(name)
	}
	if back.State == "" {
		return back, errors.New("the address has no state; it must be the whole one that the browser shows after the consent")
	}
	if back.Code == "" && back.Error == "" {
		return back, errors.New("the address has neither a code nor an error; it must be the one that the browser shows after the consent")
	}
	return back, nil
}
