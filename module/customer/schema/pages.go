package schema

import (
	"iter"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// Pages makes one sequence of pages, each of which holds the customers behind an
// id. Nothing is held open between them, so whoever reads may take his time.
func Pages(page func(after string) ([]*customer.Record, error)) iter.Seq2[*customer.Record, error] {
	return func(yield func(*customer.Record, error) bool) {
		for after := ""; ; {
			records, err := page(after)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(records) == 0 {
				return
			}
			for _, record := range records {
				if !yield(record, nil) {
					return
				}
			}
			after = records[len(records)-1].ID
		}
	}
}
