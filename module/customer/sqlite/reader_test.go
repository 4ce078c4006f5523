package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/storetest"
	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/schema"
)

const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

// A statement ends with its context, however much it has to do, and the next
// lookups find a connection that works.
func TestALookupEndsWithItsContext(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "customers.db"))
	storetest.Put(t, s, storetest.People()...)
	for range 20 { // more than there are connections
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err := s.read(ctx, endless, nil, 1)
		cancel()
		if !errors.Is(err, customer.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
	}
	if got := storetest.IDs(t, s, map[string]any{"id": "C1"}, 1); got != "C1" {
		t.Errorf("afterwards: got %q", got)
	}
}

// A row that somebody else has written is an error, not half a customer.
func TestARowThatIsNotOurs(t *testing.T) {
	for name, value := range map[string]string{
		"custom is no object": "custom = 'x'",
		"a NUL in a value":    "nickname = 'A' || char(0) || 'nn'",
	} {
		s := open(t, filepath.Join(t.TempDir(), "customers.db"))
		storetest.Put(t, s, storetest.People()...)
		if _, err := s.writer.ExecContext(t.Context(), "UPDATE "+schema.Customers+" SET "+value+" WHERE id = 'C1'"); err != nil {
			t.Fatal(err)
		}
		q, err := customer.NewQuery(map[string]any{"id": "C1"}, storetest.Region)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := s.Find(t.Context(), q, 1); !errors.Is(err, customer.ErrUnavailable) {
			t.Errorf("%s: got %v %v", name, found, err)
		}
	}
}
