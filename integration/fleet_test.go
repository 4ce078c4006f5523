package integration

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
)

// startRedis runs a real Redis that keeps nothing on disk.
func startRedis(t *testing.T) (port int) {
	t.Helper()
	port = harness.FreePort(t)
	cmd := exec.CommandContext(context.Background(), "redis-server",
		"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: integration/tools/install.sh installs it", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	harness.Eventually(t, 10*time.Second, "redis to listen", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return port
}

// fleetSite is what each instance of a fleet serves.
const fleetSite = `{
	admin {ADMIN}
	storage %s
	switchboard {
		issuer partner {
			client {env.PARTNER_KEY} {env.PARTNER_SECRET}
		}
	}
}
http://localhost:{PORT} {
	bind 127.0.0.1
	token_issuer /token/* partner
	token_auth /hello partner
	respond /hello "hello {http.auth.user.id}"
}
`

// Instances that share a storage are one issuer: a token of one opens all, what
// one has seen is a replay for the others, and any of them renews.
func TestAFleet(t *testing.T) {
	for name, storage := range map[string]string{
		"on Redis": fmt.Sprintf("redis {\n host 127.0.0.1\n port %d\n }", startRedis(t)),
		"on files": "file_system " + t.TempDir(),
	} {
		t.Run(name, func(t *testing.T) { oneIssuer(t, storage) })
	}
}

func oneIssuer(t *testing.T, storage string) {
	t.Helper()
	config := harness.Config{
		Caddyfile: fmt.Sprintf(fleetSite, storage),
		Env:       []string{"PARTNER_KEY=pk", "PARTNER_SECRET=ps"},
	}
	one, other := harness.Start(t, config), harness.Start(t, config)

	stamp := fmt.Sprint(time.Now().UnixMilli())
	sum := md5.Sum([]byte("pk" + stamp + "ps"))
	captured := "app_key=pk&timestamp=" + stamp + "&sign=" + hex.EncodeToString(sum[:])
	post := func(caddy *harness.Caddy, path, form string) harness.Answer {
		return harness.Do(t, harness.Request(t, "POST", caddy.URL(path), "application/x-www-form-urlencoded", form))
	}
	first := tokensOf(t, post(one, "/token/obtain", captured))
	if got := post(other, "/token/obtain", captured); got.Status != 401 || got.Body != `{"code":"401000","msg":"unauthorized","data":null}` {
		t.Errorf("a replay on the other instance: %d %s", got.Status, got.Body)
	}
	hello := func(caddy *harness.Caddy, token string) int {
		req := harness.Request(t, "GET", caddy.URL("/hello"), "", "")
		req.Header.Set("Authorization", "Bearer "+token)
		return harness.Do(t, req).Status
	}
	for _, caddy := range []*harness.Caddy{one, other} {
		if status := hello(caddy, first.AccessToken); status != 200 {
			t.Errorf("the token: %d", status)
		}
	}
	second := tokensOf(t, post(other, "/token/refresh", "refresh_token="+first.RefreshToken))
	if second.AccessToken == first.AccessToken || second.RefreshToken == first.RefreshToken {
		t.Error("a renewal repeats a token")
	}
	// who lost the answer gets it again, from whichever instance
	if again := tokensOf(t, post(one, "/token/refresh", "refresh_token="+first.RefreshToken)); again.AccessToken != second.AccessToken || again.RefreshToken != second.RefreshToken {
		t.Error("the repeated renewal gives other tokens")
	}
	if status := hello(one, second.AccessToken); status != 200 {
		t.Errorf("the new token on the other instance: %d", status)
	}
	// a reuse on one instance ends what the other gave
	if got := post(one, "/token/refresh", "refresh_token="+tokensOf(t, post(other, "/token/refresh", "refresh_token="+second.RefreshToken)).RefreshToken); got.Status != 200 {
		t.Errorf("a renewal of a renewal: %d %s", got.Status, got.Body)
	}
	if got := post(other, "/token/refresh", "refresh_token="+first.RefreshToken); got.Status != 401 {
		t.Errorf("a token that was spent long ago: %d %s", got.Status, got.Body)
	}
	harness.Eventually(t, 10*time.Second, "the end of the family", func() bool { return hello(one, second.AccessToken) == 401 })
}

type tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`
}

func tokensOf(t *testing.T, got harness.Answer) tokens {
	t.Helper()
	var answer struct {
		Code string
		Data tokens
	}
	if err := json.Unmarshal([]byte(got.Body), &answer); err != nil || answer.Code != "000000" || answer.Data.AccessToken == "" {
		t.Fatalf("got %d %s", got.Status, got.Body)
	}
	return answer.Data
}
