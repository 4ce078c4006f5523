package customers

import (
	"reflect"
	"testing"

	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

// Every number is a valid one, and nobody shares an id, a number, an email or
// an account with somebody else.
func TestCustomersAreUnique(t *testing.T) {
	region, err := phone.ParseRegion("CN", "")
	if err != nil {
		t.Fatal(err)
	}
	g := New(1)
	seen := map[string]int{}
	for i := range 6_000 {
		if i >= 4_000 {
			i += Max - 6_000
		}
		c := g.Customer(i)
		if err := c.Normalize(); err != nil {
			t.Fatalf("customer %d: %v", i, err)
		}
		key := customer.TelKey(c.Tel, region)
		if key == "" {
			t.Fatalf("customer %d has no valid number: %s", i, c.Tel)
		}
		keys := []string{c.ID, key}
		for _, f := range customer.Fields {
			if v := *f.Of(c); v != "" && (f.Account || f.Wire == "email") {
				keys = append(keys, v)
			}
		}
		for _, k := range keys {
			if other, ok := seen[k]; ok {
				t.Fatalf("customers %d and %d share %s", other, i, k)
			}
			seen[k] = i
		}
	}
}

func TestTheSameSeedMakesTheSameCustomers(t *testing.T) {
	for i := range 100 {
		if a, b := New(7).Customer(i), New(7).Customer(i); !reflect.DeepEqual(a, b) {
			t.Fatalf("%v and %v", a, b)
		}
	}
	if reflect.DeepEqual(New(7).Customer(1), New(8).Customer(1)) {
		t.Error("another seed makes the same customers")
	}
}
