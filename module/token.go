package switchboard

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/pool"
	"github.com/switchboard-ivr/switchboard/module/program"
	"github.com/switchboard-ivr/switchboard/module/token/keeper"
	"github.com/switchboard-ivr/switchboard/module/token/source"
)

// keepers keeps the tokens over a reload.
var keepers = pool.New[*keeper.Keeper]()

// TokenSource is a token source at work: its configuration, and the keeper
// that holds its token.
type TokenSource struct {
	*source.Source
	*keeper.Keeper

	held *pool.Held[*keeper.Keeper]
	apis []*jq.Program // of the APIs that name the source
}

// UsedBy notes the programs of an API that names the source. It must be called while the
// configuration is provisioned.
func (t *TokenSource) UsedBy(programs ...*jq.Program) { t.apis = append(t.apis, programs...) }

// acquire provisions src and finds its keeper, the one of the configuration
// before when nothing that matters has changed.
func acquire(ctx caddy.Context, name string, src *source.Source, define string) (*TokenSource, error) {
	asWritten, err := json.Marshal(src) // before Provision: loading a guest empties its field
	if err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	src.Define = program.Join(define, src.Define)
	if err := src.Provision(ctx, name); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%s", name, src.Identity(), define, asWritten))
	held, err := keepers.Hold(sum, func() (*keeper.Keeper, error) { return keeper.New(src.Policy(), src.Endpoint()), nil })
	if err != nil {
		return nil, err
	}
	return &TokenSource{Source: src, Keeper: held.Value, held: held}, nil
}
