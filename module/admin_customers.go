package switchboard

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/exchange"
)

func (o Operator) getCustomer(r *http.Request) (any, error) {
	id, err := idOf(r)
	if err != nil {
		return nil, err
	}
	d, err := o.app.held()
	if err != nil {
		return nil, err
	}
	found, err := d.Find(r.Context(), customer.Query{{Param: customer.ByID, Raw: id, Key: id}}, 1)
	switch {
	case err != nil:
		return nil, storeError(err)
	case len(found) == 0:
		return nil, apiError(http.StatusNotFound, errors.New("there is no such customer"))
	}
	return json.RawMessage(exchange.AppendJSON(nil, found[0])), nil
}

func (o Operator) putCustomer(r *http.Request) (any, error) {
	id, err := idOf(r)
	if err != nil {
		return nil, err
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	record, err := exchange.ParseAs(body, id)
	if err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	d, err := o.app.held()
	if err != nil {
		return nil, err
	}
	err = d.Write(func(w customer.Writer) error { return w.Put(r.Context(), []*customer.Record{record}, nil) })
	if err != nil {
		return nil, storeError(err)
	}
	o.app.customerWritten()
	return adminapi.Changed{ID: id, Store: d.Location()}, nil
}

// deleteCustomer drops the cached answers in any case: they may contain a
// customer who is no longer in the store.
func (o Operator) deleteCustomer(r *http.Request) (any, error) {
	id, err := idOf(r)
	if err != nil {
		return nil, err
	}
	d, err := o.app.held()
	if err != nil {
		return nil, err
	}
	var existed bool
	err = d.Write(func(w customer.Writer) (err error) {
		existed, err = w.Delete(r.Context(), id)
		return err
	})
	if err != nil {
		return nil, storeError(err)
	}
	o.app.customerErased()
	return adminapi.Changed{ID: id, Existed: existed, Store: d.Location()}, nil
}

func idOf(r *http.Request) (string, error) {
	q, err := customer.NewQuery(map[string]any{string(customer.ByID): r.PathValue("id")}, phone.Region{})
	switch {
	case err != nil:
		return "", apiError(http.StatusBadRequest, err)
	case q.Nobody():
		return "", apiError(http.StatusBadRequest, customer.ErrNoID)
	}
	return q[0].Key, nil
}

// held returns the directory that this configuration uses.
func (a *App) held() (*customer.Directory, error) {
	if a.customers == nil {
		return nil, apiError(http.StatusNotFound, errors.New("the running configuration uses no customer directory"))
	}
	return a.customers, nil
}

func storeError(err error) error {
	switch {
	case errors.Is(err, customer.ErrReadOnly):
		return apiError(http.StatusConflict, err)
	case errors.Is(err, customer.ErrUnavailable):
		return apiError(http.StatusServiceUnavailable, err)
	default:
		return apiError(http.StatusInternalServerError, err)
	}
}
