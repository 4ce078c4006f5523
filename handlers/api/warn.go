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
	for _, text := range slices.Concat(a.onlySlash(), a.doubtfulPrograms(), a.unguardedNumbers(), a.undescribedParams(), a.missingKeys(), a.readsNull(), a.doubtfulOnce()) {
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
	slices.Sort(named)
	named = slices.Compact(named)
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
	given, known := a.outputKeys()
	if !known || a.route.Contract == nil {
		return nil
	}
	missing, beyond := without(a.route.Contract.Keys(), given), without(given, a.route.Contract.Keys())
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

// readsNull returns a warning for an `output` that reads the answer of an API that has
// none of its own.
func (a *API) readsNull() []string {
	if !a.target.none {
		return nil
	}
	names := jq.Project(a.programs.output).Names()
	if len(names) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("output uses .%s, but an api without `to` has no answer of its own: `.` is null; write e.g. `$%s.%[1]s`", names[0], a.With[0].Var)}
}

// warnOfPart logs where the API and the API of a part seem to misunderstand one
// another: the names of params, and the keys of the answer.
func (a *API) warnOfPart(w With, to *API) {
	for _, text := range slices.Concat(a.unreadParams(w, to), a.unknownKeys(w, to)) {
		a.route.Logger.Warn(text, zap.String("api", a.Name))
	}
}

// unreadParams returns a warning for params that a part gets and doesn't read, while it
// reads others that it doesn't get.
func (a *API) unreadParams(w With, to *API) []string {
	i := slices.IndexFunc(a.With, func(other With) bool { return other.Var == w.Var })
	given, known := a.programs.with[i].params.ObjectKeys()
	if !known || to.readsAllParams() {
		return nil
	}
	var read []string
	for _, param := range to.describeParams() {
		read = append(read, param.Name)
	}
	unread, missing := without(given, read), without(read, given)
	if len(unread) == 0 || len(missing) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s gives api %s the param %s, which it doesn't read; it reads %s, which isn't given",
		withLine(w.Var), w.API, strings.Join(unread, ", "), strings.Join(missing, ", "))}
}

// readsAllParams reports whether the API may read params that none of its request
// programs names.
func (a *API) readsAllParams() bool {
	return a.Pass != nil && (a.Pass.Query || a.Pass.Body) ||
		jq.Project(a.programs.onParams()...) == nil || jq.Project(a.programs.require...) == nil ||
		slices.ContainsFunc(a.programs.named, func(it namedProgram) bool { return it.program.Uses("params") })
}

// unknownKeys returns warnings for keys that programs read of a part's answer, although
// neither its contract nor its output has them. What an output gives that can't be seen
// may have more keys.
func (a *API) unknownKeys(w With, to *API) (found []string) {
	keys, known := to.outputKeys()
	why := "is always null"
	if to.route.Contract != nil {
		if !known {
			why = "may be null"
		}
		known, keys = true, append(without(keys, to.route.Contract.Keys()), to.route.Contract.Keys()...)
	}
	if !known {
		return nil
	}
	slices.Sort(keys)
	for _, it := range a.programs.named {
		for _, name := range without(it.program.MembersOf(w.Var), append(slices.Clip(keys), to.partStatus(), "_age")) {
			found = append(found, fmt.Sprintf("%s uses $%s.%s, which %s: api %s names no such key; it names %s",
				it.name, w.Var, name, why, w.API, strings.Join(keys, ", ")))
		}
	}
	return found
}

// outputKeys returns the keys of what `output` gives, if they are known.
func (a *API) outputKeys() (keys []string, known bool) {
	if a.programs.output == nil {
		return nil, false
	}
	return a.programs.output.ObjectKeys()
}

// without returns the names that are not among others.
func without(names, others []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(others, name) })
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
