package module

import "sync"

// changes tells those who keep answers about customers when one changes.
type changes struct {
	mu    sync.Mutex
	heard []func(id string)
}

// OnCustomerChange has f called with the id of every customer that the admin
// API writes or deletes, after it is done. The answers about that customer
// which f keeps are to be forgotten. It is called by several at once, and lasts
// as long as this configuration.
func (a *App) OnCustomerChange(f func(id string)) {
	a.changes.mu.Lock()
	defer a.changes.mu.Unlock()
	a.changes.heard = append(a.changes.heard, f)
}

func (a *App) customerChanged(id string) {
	a.changes.mu.Lock()
	heard := a.changes.heard
	a.changes.mu.Unlock()
	for _, f := range heard {
		f(id)
	}
}
