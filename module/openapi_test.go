package switchboard_test

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// The description of the admin API has its paths and its members, all of them and
// no others.
func TestTheDescriptionOfTheAdminAPI(t *testing.T) {
	text, err := os.ReadFile("../docs/reference/admin.openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var described struct {
		Paths      map[string]any
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal(text, &described); err != nil {
		t.Fatal(err)
	}
	for _, route := range (switchboard.Admin{}).Routes() {
		if _, ok := described.Paths[route.Pattern]; !ok {
			t.Errorf("%s is not described", route.Pattern)
		}
		delete(described.Paths, route.Pattern)
	}
	for path := range described.Paths {
		t.Errorf("%s is described, and isn't there", path)
	}
	for name, of := range map[string]any{
		"API": adminapi.API{}, "Hour": adminapi.Hour{}, "Minute": adminapi.Minute{}, "Test": adminapi.Test{},
		"Trace": adminapi.Trace{}, "Step": adminapi.Step{}, "Token": adminapi.Token{}, "Exchange": token.Exchange{}, "ExchangedRequest": token.ExchangedRequest{}, "Cache": adminapi.Cache{},
		"Purge": adminapi.Purge{}, "Purged": adminapi.Purged{}, "Directory": adminapi.Directory{}, "Changed": adminapi.Changed{},
	} {
		var want, got []string
		for field := range reflect.TypeOf(of).Fields() {
			member, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			want = append(want, member)
		}
		for member := range described.Components.Schemas[name].Properties {
			got = append(got, member)
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Errorf("%s is described with %v, and has %v", name, got, want)
		}
	}
}
