package switchboard

import (
	"context"
	"errors"
	"net/http"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

// Operator is what an operator can see and do in a running configuration, by the
// admin API or the console. Its errors have the type caddy.APIError, and contain
// no data, so that they can be shown.
type Operator struct{ app *App }

// Operator returns the operator's interface to this configuration.
func (a *App) Operator() Operator { return Operator{a} }

// APIs returns the state of all APIs, sorted by name.
func (o Operator) APIs() []adminapi.API {
	list := make([]adminapi.API, 0)
	for _, name := range o.app.APIs() {
		list = append(list, o.app.describe(name))
	}
	return list
}

// API returns the state of an API.
func (o Operator) API(name string) (adminapi.API, error) {
	if _, err := o.apiState(name); err != nil {
		return adminapi.API{}, err
	}
	return o.app.describe(name), nil
}

// Hold stops or resumes the calls of an API.
func (o Operator) Hold(name string, held bool) (adminapi.API, error) {
	s, err := o.apiState(name)
	if err != nil {
		return adminapi.API{}, err
	}
	o.app.hold(s, held)
	return o.app.describe(name), nil
}

// Hour returns the outcomes of an API's calls in the last hour. The customer
// lookup is named [LookupName].
func (o Operator) Hour(name string) (adminapi.Hour, error) {
	s := o.app.apiStates.find(name)
	if s == nil {
		return adminapi.Hour{}, apiError(http.StatusNotFound, o.app.noSuchAPI(name))
	}
	return s.traffic.hour(), nil
}

// Lookups returns the customer lookups that can be tested, if there are any.
func (o Operator) Lookups() []Tested { return o.app.lookups() }

// apiState returns the state of a registered API.
func (o Operator) apiState(name string) (*APIState, error) {
	s := o.app.apiStates.find(name)
	if _, ok := o.app.registered(name); !ok || s == nil {
		return nil, apiError(http.StatusNotFound, o.app.noSuchAPI(name))
	}
	return s, nil
}

// Cache returns the statistics of the cache.
func (o Operator) Cache() adminapi.Cache {
	if o.app.cache == nil {
		return adminapi.Cache{Size: o.app.cacheSize()}
	}
	s := o.app.cache.Stats()
	return adminapi.Cache{
		Size: o.app.cacheSize(), Entries: s.Entries, Bytes: s.Bytes,
		Hits: s.Hits, Misses: s.Misses, Refused: s.Dropped, Evicted: s.Evicted,
	}
}

// Purge drops answers: all, those of one API, or those for given params. Keys
// don't show which customer an answer is about, so that a purge for a customer
// drops all answers.
func (o Operator) Purge(ctx context.Context, what adminapi.Purge) (adminapi.Purged, error) {
	refused := func(status int, err error) (adminapi.Purged, error) {
		return adminapi.Purged{}, apiError(status, err)
	}
	switch {
	case what.API != "" && what.Customer != "":
		return refused(http.StatusBadRequest, errors.New("give an api or a customer, not both"))
	case what.API == "" && what.Params != nil:
		return refused(http.StatusBadRequest, errors.New("params need an api"))
	case what.API == "":
		o.app.customerErased()
		return adminapi.Purged{Purged: "all"}, nil
	case what.API == LookupName:
		o.app.customerWritten()
		return adminapi.Purged{Purged: what.API}, nil
	}
	api, ok := o.app.registered(what.API)
	if !ok {
		return refused(http.StatusNotFound, o.app.noSuchAPI(what.API))
	}
	if what.Params == nil {
		if o.app.cache != nil {
			o.app.cache.PurgeGroup(what.API)
		}
		return adminapi.Purged{Purged: what.API}, nil
	}
	params, err := paramsOf(what.Params)
	if err != nil {
		return refused(http.StatusBadRequest, err)
	}
	if err := api.Forget(ctx, params); err != nil {
		return refused(http.StatusConflict, err)
	}
	return adminapi.Purged{Purged: what.API}, nil
}

// Directory returns the store's name and its number of customers.
func (o Operator) Directory(ctx context.Context) (adminapi.Directory, error) {
	d, err := o.app.held()
	if err != nil {
		return adminapi.Directory{}, err
	}
	directory := adminapi.Directory{Store: d.Location()}
	err = d.Write(func(w customer.Writer) (err error) {
		directory.Count, err = w.Count(ctx)
		return err
	})
	if err != nil {
		return adminapi.Directory{}, storeError(err)
	}
	return directory, nil
}

// Location returns the store's name, without a query.
func (o Operator) Location() (string, error) {
	d, err := o.app.held()
	if err != nil {
		return "", err
	}
	return d.Location(), nil
}

// maxFound is the maximum number of customers that a search returns.
const maxFound = 20

// Search finds customers by the parameters of a lookup: `id`, `tel`, `email` and
// `thirdAccountId`. A customer must match all that are given. It returns at most
// 20.
func (o Operator) Search(ctx context.Context, params map[string]any) ([]*customer.Record, error) {
	d, err := o.app.held()
	if err != nil {
		return nil, err
	}
	q, err := customer.NewQuery(params, d.Region())
	if err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	if len(q) == 0 {
		return nil, apiError(http.StatusBadRequest, errors.New("give an id, a tel, an email or a thirdAccountId"))
	}
	found, err := d.Find(ctx, q, maxFound)
	if err != nil {
		return nil, storeError(err)
	}
	return found, nil
}
