package switchboard

import (
	"net/http"
	"time"

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

// Described is an API that tells more of itself.
type Described interface{ Describe(to *adminapi.API) }

func (a *App) describe(name string) adminapi.API {
	s := a.apiStates.find(name)
	since := s.DegradedSince()
	told := adminapi.API{Name: name, Held: s.Held(), Breaker: a.breakerState(name), Degraded: !since.IsZero()}
	if told.Degraded {
		told.DegradedSince = since.UTC().Truncate(time.Second)
	}
	if s != nil {
		s.traffic.describe(&told, time.Now())
	}
	if api, _ := a.registered(name); api != nil {
		if d, ok := api.(Described); ok {
			d.Describe(&told)
		}
	}
	return told
}
