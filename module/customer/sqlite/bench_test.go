package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/switchboard-ivr/switchboard/integration/customers"
	"github.com/switchboard-ivr/switchboard/integration/storetest"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

// crowded returns a store of made-up customers, and one of them who can be found
// by everything.
func crowded(b *testing.B, n int) (s *store, someone *customer.Record) {
	b.Helper()
	s = newStore(filepath.Join(b.TempDir(), "customers.db"), customer.Env{Region: storetest.Region})
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	people := crowd(n)
	for _, c := range people {
		if c.PartnerID != "" && c.Email != "" {
			someone = c
		}
	}
	if err := s.Put(b.Context(), people, nil); err != nil {
		b.Fatal(err)
	}
	return s, someone
}

func crowd(n int) []*customer.Record {
	people := make([]*customer.Record, n)
	for i := range people {
		people[i] = customers.New(1).Customer(i)
	}
	return people
}

func BenchmarkFind(b *testing.B) {
	s, someone := crowded(b, 5000)
	for param, value := range map[customer.Param]string{
		customer.ByID: someone.ID, customer.ByTel: someone.Tel, customer.ByEmail: someone.Email, customer.ByAccount: someone.PartnerID,
	} {
		q, err := customer.NewQuery(map[string]any{string(param): value}, storetest.Region)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(param), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if found, err := s.Find(b.Context(), q, 2); err != nil || len(found) != 1 {
					b.Fatalf("%d found, %v", len(found), err)
				}
			}
		})
	}
}

func BenchmarkPut(b *testing.B) {
	s, _ := crowded(b, 1)
	people := crowd(1000)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Put(b.Context(), people, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(people)), "µs/customer")
}
