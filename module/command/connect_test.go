package command

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/integration/provider"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

func TestParsePasted(t *testing.T) {
	for text, want := range map[string]adminapi.Redirected{
		"http://127.0.0.1:8765/callback?code=4%2Fa+b&state=s&scope=x":          {Code: "4/a b", State: "s"},
		"  <https://ops.example.com/cb?state=s&code=c&iss=https%3A%2F%2Fa#_> ": {Code: "c", State: "s", Issuer: "https://a"},
		"http://localhost/?error=access_denied&error_description=no&state=s":   {Error: "access_denied", Description: "no", State: "s"},
		"code=c&state=s":              {Code: "c", State: "s"},
		"?code=c&state=s&x=a;b&y=%zz": {Code: "c", State: "s"},
		"4/0AX-_~.c":                  {Code: "4/0AX-_~.c", State: "mine"},
		"4%2F0AX":                     {Code: "4/0AX", State: "mine"},
		"100%":                        {Code: "100%", State: "mine"},
		`"quoted"`:                    {Code: "quoted", State: "mine"},
	} {
		if got, err := parsePasted(text, "mine"); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                               "neither a code nor an address",
		"two words":                      "neither a code nor an address",
		"http://127.0.0.1:8765/callback": "neither a code nor an address",
		"https://a.example/authorize?state=s&x=y": "neither a code nor an error",
		"http://localhost/?code=a&code=b&state=s": "code twice",
		"http://localhost/?code=a&state=s&state=": "state twice",
		"http://localhost/?code=%zz&state=s":      "neither a code nor an error",
		"?code=c":                                 "has no state",
		strings.Repeat("x", 20_000):               "too long",
	} {
		if got, err := parsePasted(text, "mine"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.50s: %+v, %v", text, got, err)
		}
	}
}

func FuzzParsePasted(f *testing.F) {
	for _, text := range []string{"http://127.0.0.1:8765/callback?code=a&state=b", "code=a", "4%2F0", "?error=x#y", "\"a\"", "%"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		back, err := parsePasted(text, "mine")
		if err != nil {
			return
		}
		if back.Code == "" && back.Error == "" {
			t.Errorf("%q gives %+v", text, back)
		}
		if n := len(back.Code + back.Error + back.Issuer + back.Description); n > len(text) {
			t.Errorf("%d characters of %d: %+v", n, len(text), back)
		}
	})
}

// browser opens the first line that is written to it, as a person does.
type browser struct {
	mu   sync.Mutex
	text string
	open func(address string)
	wg   sync.WaitGroup
}

func (b *browser) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := strings.Contains(b.text, "\n")
	b.text += string(p)
	if first, _, whole := strings.Cut(b.text, "\n"); whole && !before {
		b.wg.Go(func() { b.open(first) })
	}
	return len(p), nil
}

// connectWith runs `tokens connect` with a browser.
func connectWith(t *testing.T, in io.Reader, open func(address string), args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := &cobra.Command{Use: "switchboard", SilenceUsage: true}
	addCommands(root)
	out, errs := &browser{open: open}, new(bytes.Buffer)
	root.SetArgs(append([]string{"tokens", "connect"}, args...))
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err = root.ExecuteContext(t.Context())
	out.wg.Wait()
	return out.text, errs.String(), err
}

// opened is what a browser shows at the end of an address's redirects.
func opened(t *testing.T, address string) (status int, text string) {
	t.Helper()
	res, err := http.Get(address)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res.StatusCode, string(body)
}

func TestConnect(t *testing.T) {
	api := provider.New(provider.Options{})
	if err := api.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	socket := filepath.Join(t.TempDir(), "admin.sock")
	storage, err := os.MkdirTemp("", "connect") //nolint:usetesting // what runs in the background may outlive the test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(storage) })
	text := directory(t, "unix/"+socket+"\n\tstorage file_system "+storage)
	runInstance(t, strings.Replace(text, "region CN", "region CN\n"+strings.ReplaceAll(`token mail {
		dialect oauth2_code
		credential client_id demo-app
		credential client_secret demo-secret
		authorize API/oauth2/authorize
		obtain API/oauth2/token
		refresh API/oauth2/token
	}`, "API", api.URL()), 1))

	nobody := func(string) {}
	for args, want := range map[string]string{
		"":                               "arg",
		"none":                           "none",
		"mail --redirect http://a.b":     "anybody can read",
		"mail --redirect http://[::g]/":  "can't be read",
		"mail --address localhost:1":     "no running instance",
		"mail --redirect https://a.b/cb": "nothing was pasted", // stdin is empty
	} {
		if _, _, err := connectWith(t, strings.NewReader(" \n"), nobody, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, _, err := connectWith(t, strings.NewReader(""), nobody, "mail", "--redirect", "http://"+taken.Addr().String()+"/callback"); err == nil || !strings.Contains(err.Error(), "use --paste") {
		t.Errorf("a port that is taken: %v", err)
	}

	// denied, and then consented
	_, stderr, err := connectWith(t, strings.NewReader(""), func(address string) {
		redirect, err := url.Parse(address)
		if err != nil {
			t.Error(err)
			return
		}
		back := redirect.Query().Get("redirect_uri")
		for _, wrong := range []string{back + "?code=x&state=y", back + "?code=x&code=y", back + "/other"} {
			if status, text := opened(t, wrong); status < 400 {
				t.Errorf("%s: %d %s", wrong, status, text)
			}
		}
		if status, text := opened(t, address+"&_deny=1"); status != http.StatusBadGateway || !strings.Contains(text, "the consent was denied") {
			t.Errorf("denied: %d %s", status, text)
		}
	}, "mail")
	if err == nil || !strings.Contains(err.Error(), "the consent was denied (access_denied)") || !strings.Contains(stderr, "Waiting for it at http://127.0.0.1:") {
		t.Errorf("denied: %v, %s", err, stderr)
	}
	stdout, _, err := connectWith(t, strings.NewReader(""), func(address string) {
		if status, text := opened(t, address); status != http.StatusOK || !strings.Contains(text, "Connected") {
			t.Errorf("the browser shows %d %s", status, text)
		}
	}, "mail")
	if err != nil || !strings.Contains(stdout, "mail  fresh") {
		t.Errorf("%v, %s", err, stdout)
	}
	if !strings.HasPrefix(stdout, api.URL()+"/oauth2/authorize?") {
		t.Errorf("stdout begins with %.80s", stdout)
	}
}

func TestListenersOfLocalhost(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	to := &url.URL{Host: "localhost:" + strconv.Itoa(free.Addr().(*net.TCPAddr).Port)}
	listeners, err := listenersFor(t.Context(), to, free)
	if err != nil || len(listeners) == 0 || listeners[0] != free {
		t.Errorf("%v, %v", listeners, err)
	}
	for _, l := range listeners {
		_ = l.Close()
	}
}
