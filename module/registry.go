package module

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// registry tells one API from another. A name stands for one set of settings:
// the same block in several servers is one API, a name used twice for
// different things is a mistake.
type registry struct {
	mu   sync.Mutex
	apis map[string]registered
	// what handlers of the same settings have in common, by a name of theirs
	shared map[string]any
}

type registered struct {
	fingerprint string
	api         any
}

// LookupName is what the customer lookup is called where APIs have names: in logs
// and as a label of metrics.
const LookupName = "customer_lookup"

// RegisterAPI notes an API under its name. The fingerprint stands for its
// settings. A name that is taken by other settings is an error.
func (a *App) RegisterAPI(name, fingerprint string, api any) error {
	if name == LookupName {
		return fmt.Errorf("the name %s is taken by the customer lookup; give the api another one", name)
	}
	a.apis.mu.Lock()
	defer a.apis.mu.Unlock()
	if a.apis.apis == nil {
		a.apis.apis = make(map[string]registered)
	}
	if was, ok := a.apis.apis[name]; ok {
		if was.fingerprint != fingerprint {
			return fmt.Errorf("api %s is defined twice with different settings; give the second one a name of its own", name)
		}
		return nil
	}
	a.apis.apis[name] = registered{fingerprint, api}
	return nil
}

func (a *App) registered(name string) (api any, ok bool) {
	a.apis.mu.Lock()
	defer a.apis.mu.Unlock()
	found, ok := a.apis.apis[name]
	return found.api, ok
}

func (a *App) noSuchAPI(name string) error {
	known := a.APIs()
	if len(known) == 0 {
		return fmt.Errorf("there is no api %s; the running configuration has none", name)
	}
	return fmt.Errorf("there is no api %s; there are: %s", name, strings.Join(known, ", "))
}

// APIs returns the names of all APIs of this configuration, sorted.
func (a *App) APIs() []string {
	a.apis.mu.Lock()
	defer a.apis.mu.Unlock()
	names := make([]string, 0, len(a.apis.apis))
	for name := range a.apis.apis {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Shared returns what the handlers of one API have in common, however many
// servers it is written in: the first one makes it. The key stands for the
// settings.
func Shared[T any](a *App, key string, create func() T) T {
	a.apis.mu.Lock()
	defer a.apis.mu.Unlock()
	if found, ok := a.apis.shared[key].(T); ok {
		return found
	}
	made := create()
	if a.apis.shared == nil {
		a.apis.shared = make(map[string]any)
	}
	a.apis.shared[key] = made
	return made
}
