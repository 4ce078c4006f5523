package api

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/jq"
)

// warn logs what the configuration says but probably doesn't mean.
func (a *API) warn(ctx caddy.Context) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if a.Token != "" && a.Auth == nil && ok && !onLoopback(server.Listen) {
		a.route.Logger.Warn("an api with a token is open to everyone who can reach this server; write `auth key {env.…}`, or `auth none` if that is intended",
			zap.String("api", a.Name), zap.Strings("listen", server.Listen))
	}
	for _, text := range slices.Concat(a.onlySlash(), a.doubtfulPrograms(), a.unguardedNumbers(), a.undescribedParams(), a.missingKeys(), a.doubtfulOnce()) {
		a.route.Logger.Warn(text, zap.String("api", a.Name))
	}
}

// onlySlash returns a warning for a `to` that calls the path "/" with nothing in the
// request, where a sidecar was probably meant.
func (a *API) onlySlash() []string {
	if a.target.raw != "/" || a.target.keep != "" || a.programs.makesRequest || a.Pass != nil {
		return nil
	}
	return []string{"`to` ends in a slash, so every request calls the path / and nothing of it goes on; write it without the slash to forward requests as they are"}
}

// doubtfulPrograms returns warnings for programs that may give a value of the
// wrong type.
func (a *API) doubtfulPrograms() (found []string) {
	for _, it := range a.programs.named {
		if text := it.program.Warning(); text != "" {
			found = append(found, it.name+": "+text)
		}
	}
	return found
}

// unguardedNumbers returns warnings for params that a request program reads as
// telephone numbers, while no condition of `require` checks them. A withheld
// number would be null, and the API would be called without a filter.
func (a *API) unguardedNumbers() (found []string) {
	guarded := jq.Project(a.programs.require...).Names()
	for _, program := range a.programs.onParams() {
		for _, name := range program.PipedInto("e164/1") {
			if slices.Contains(guarded, name) {
				continue
			}
			guarded = append(guarded, name) // warn once
			found = append(found, fmt.Sprintf("e164 gives null for a %s that is not a number, e.g. a withheld one, and the API would be called without it; write `require `.%s | e164(\"CN\") != null``, with your region", name, name))
		}
	}
	return found
}

// undescribedParams returns warnings for params that a program on them uses,
// while `param` and `require` name others: a misspelled name is null, and the API
// would be called without it.
func (a *API) undescribedParams() (found []string) {
	named := jq.Project(a.programs.require...).Names()
	for _, param := range a.Params {
		named = append(named, param.Name)
	}
	if a.Require != nil {
		named = append(named, a.Require.Params...)
	}
	if len(named) == 0 {
		return nil
	}
	for _, name := range jq.Project(a.programs.onParams()...).Names() {
		if !slices.Contains(named, name) {
			found = append(found, fmt.Sprintf("a request program uses .%s, which no `param` and no `require` names; they name %s", name, strings.Join(named, ", ")))
		}
	}
	return found
}

// missingKeys returns a warning for keys of the contract that `output` never
// gives.
func (a *API) missingKeys() []string {
	if a.programs.output == nil || a.route.Contract == nil {
		return nil
	}
	given, known := a.programs.output.ObjectKeys()
	if !known {
		return nil
	}
	var missing, beyond []string
	for _, key := range a.route.Contract.Keys() {
		if !slices.Contains(given, key) {
			missing = append(missing, key)
		}
	}
	for _, key := range given {
		if !slices.Contains(a.route.Contract.Keys(), key) {
			beyond = append(beyond, key)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	text := "output never gives " + strings.Join(missing, ", ") + ", which `default` has"
	if len(beyond) > 0 {
		text += "; it gives " + strings.Join(beyond, ", ") + ", which `default` does not have"
	}
	return []string{text}
}

// doubtfulOnce returns warnings for a write whose record protects less than it seems.
func (a *API) doubtfulOnce() (found []string) {
	if a.Once == nil {
		return nil
	}
	if a.source == nil {
		found = append(found, "the records of `once` are sealed with no secret, because the api has no token source; whoever can read Caddy's storage can read their keys and answers")
	}
	if ttl := time.Duration(a.Once.TTL); ttl < time.Minute {
		found = append(found, fmt.Sprintf("`once` remembers a write for %s only; a repeat after that is sent again", ttl))
	}
	return found
}

func onLoopback(addresses []string) bool {
	for _, address := range addresses {
		parsed, err := caddy.ParseNetworkAddress(address)
		if err != nil {
			return false
		}
		ip := net.ParseIP(parsed.Host)
		if !parsed.IsUnixNetwork() && parsed.Host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}
