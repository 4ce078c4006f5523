package module

import (
	"net/http"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

func (a *App) listAPIs(*http.Request) (any, error) { return a.Operator().APIs(), nil }

func (a *App) getAPI(r *http.Request) (any, error) { return a.Operator().API(r.PathValue("name")) }

func (a *App) hourOfAPI(r *http.Request) (any, error) { return a.Operator().Hour(r.PathValue("name")) }

func (a *App) holdAPI(r *http.Request) (any, error) {
	return a.Operator().Hold(r.PathValue("name"), true)
}

func (a *App) releaseAPI(r *http.Request) (any, error) {
	return a.Operator().Hold(r.PathValue("name"), false)
}

func (a *App) describe(name string) adminapi.API {
	s := a.standings.find(name)
	return adminapi.API{Name: name, Held: s.Held(), Breaker: a.breakerState(name), Degraded: s.Degraded()}
}
