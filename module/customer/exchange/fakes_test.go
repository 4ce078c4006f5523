package exchange

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// memory is a store in memory. It fails with the put number failAt.
type memory struct {
	records map[string]*customer.Record
	marks   map[string]int64
	puts    int
	failAt  int
	batches []int
	lost    bool // the failing put is done, and the answer lost
}

var errDown = errors.New("down")

func newMemory() *memory {
	return &memory{records: map[string]*customer.Record{}, marks: map[string]int64{}}
}

func (m *memory) Find(context.Context, customer.Query, int) ([]*customer.Record, error) {
	return nil, nil
}
func (m *memory) Close() error { return nil }

func (m *memory) Put(_ context.Context, records []*customer.Record, mark *customer.Mark) error {
	m.puts++
	if m.puts == m.failAt && !m.lost {
		return errDown
	}
	m.batches = append(m.batches, len(records))
	for _, r := range records {
		m.records[r.ID] = r
	}
	if mark != nil {
		m.marks[mark.Source] = mark.Line
		if mark.Done {
			delete(m.marks, mark.Source)
		}
	}
	if m.puts == m.failAt {
		return errDown
	}
	return nil
}

func (m *memory) Marked(_ context.Context, source string) (int64, error) { return m.marks[source], nil }

func (m *memory) Delete(_ context.Context, id string) (bool, error) {
	_, ok := m.records[id]
	delete(m.records, id)
	return ok, nil
}

func (m *memory) Count(context.Context) (int64, error) { return int64(len(m.records)), nil }

func (m *memory) All(context.Context) iter.Seq2[*customer.Record, error] {
	return func(yield func(*customer.Record, error) bool) {
		for _, id := range slices.Sorted(maps.Keys(m.records)) {
			if !yield(m.records[id], nil) {
				return
			}
		}
	}
}

// load imports a text.
func load(t *testing.T, m *memory, format Format, text string) (Result, error) {
	t.Helper()
	i := Importer{Store: m, Batch: 3}
	return i.Run(t.Context(), Source{Reader: strings.NewReader(text), Format: format})
}

func ids(m *memory) string { return strings.Join(slices.Sorted(maps.Keys(m.records)), " ") }
