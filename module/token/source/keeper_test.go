package source

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
	"github.com/switchboard-ivr/switchboard/module/token/keeper"
)

// The two halves together: a source as it is written, and its keeper.
func TestNewKeeper(t *testing.T) {
	t.Setenv("SWITCHBOARD_TEST_STATIC", "fixed")
	k := keeperOf(provision(t, `static {env.SWITCHBOARD_TEST_STATIC}`))
	if k.Current() == nil || !k.State().Static {
		t.Errorf("state %+v", k.State())
	}
	none := keeperOf(provision(t, `credential app_key abc
		dialect none`))
	if _, err := none.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "the source has no token endpoint") {
		t.Errorf("a source with credentials only: %v", err)
	}
	signed := keeperOf(provision(t, `credential app_key abc
		credential app_secret def
		obtain http://127.0.0.1:1/token/get`))
	signed.Attach(keeper.Env{})
	defer func() { _ = signed.Destruct() }()
	ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
	defer cancel()
	_, err := signed.Token(ctx)
	if fail, ok := errors.AsType[*token.Failure](err); !ok || fail.Kind != token.Ambiguous {
		t.Errorf("an endpoint that isn't there: %v", err)
	}
}

func keeperOf(s *Source) *keeper.Keeper { return keeper.New(s.Policy(), s.Endpoint()) }

// The keeper remembers the last exchange, for its state.
func TestStateHasTheLastExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := provision(t, signedSource)
		s.roundTripper = answered(200, typed("application/json"), `{"code":"900001","msg":"bad sign","data":null}`)
		k := keeperOf(s)
		k.Attach(keeper.Env{})
		defer func() { _ = k.Destruct() }()
		if k.State().LastExchange != nil {
			t.Error("an exchange before the first call")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := k.Token(ctx)
		if err == nil || !strings.Contains(err.Error(), `refused (status 200, code 900001): the endpoint says "bad sign"`) {
			t.Errorf("Token: %v", err)
		}
		x := k.State().LastExchange
		if x == nil || x.Status != 200 || x.Answer.(map[string]any)["msg"] != "bad sign" {
			t.Errorf("got %+v", x)
		}
	})
}
