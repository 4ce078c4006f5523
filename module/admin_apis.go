package module

import (
	"net/http"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// listAPIs tells how all APIs stand.
func (a *App) listAPIs(*http.Request) (any, error) {
	list := make([]adminapi.API, 0)
	for _, name := range a.APIs() {
		list = append(list, a.describe(name))
	}
	return list, nil
}

func (a *App) getAPI(r *http.Request) (any, error) {
	name, _, err := a.apiOf(r)
	if err != nil {
		return nil, err
	}
	return a.describe(name), nil
}

func (a *App) holdAPI(r *http.Request) (any, error) { return a.setHeld(r, true) }

func (a *App) releaseAPI(r *http.Request) (any, error) { return a.setHeld(r, false) }

func (a *App) setHeld(r *http.Request, held bool) (any, error) {
	name, s, err := a.apiOf(r)
	if err != nil {
		return nil, err
	}
	a.hold(s, held)
	return a.describe(name), nil
}

// apiOf is the API that a path names.
func (a *App) apiOf(r *http.Request) (string, *Standing, error) {
	name := r.PathValue("name")
	s := a.standings.find(name)
	if _, ok := a.registered(name); !ok || s == nil {
		return "", nil, apiError(http.StatusNotFound, a.noSuchAPI(name))
	}
	return name, s, nil
}

func (a *App) describe(name string) adminapi.API {
	s := a.standings.find(name)
	return adminapi.API{Name: name, Held: s.Held(), Breaker: a.breakerState(name), Degraded: s.Degraded()}
}
