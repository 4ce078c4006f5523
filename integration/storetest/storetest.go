// Package storetest is the suite that every store of Switchboard's own passes:
// what a lookup finds, and what writing does.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

// Region is the one that the stores are to be opened with.
var Region = phone.Region{Country: "CN", AreaCode: "010"}

// Run runs the suite. open returns a new, empty store, or another one over the
// data of the last.
func Run(t *testing.T, open func(t *testing.T, fresh bool) customer.Writer) {
	t.Helper()
	t.Run("finding", func(t *testing.T) { finding(t, open(t, true)) })
	t.Run("writing", func(t *testing.T) { writing(t, open(t, true)) })
	t.Run("odd values", func(t *testing.T) { oddValues(t, open(t, true)) })
	t.Run("marks", func(t *testing.T) { marks(t, open(t, true)) })
	t.Run("all", func(t *testing.T) { all(t, open(t, true)) })
	t.Run("several at once", func(t *testing.T) {
		first := open(t, true)
		together(t, append([]customer.Writer{first}, open(t, false), open(t, false)))
	})
	t.Run("ended contexts", func(t *testing.T) { ended(t, open(t, true)) })
}

// People are customers who can be found in every way.
func People() []*customer.Record {
	people := []*customer.Record{
		{ID: "C1", Tel: "13800138000", Email: "Ann@Example.com", Nickname: "Ann", Custom: map[string]string{"level": "gold"}},
		{ID: "C2", Tel: "+86 139-0013-9000", Nickname: "Bob"},
		{ID: "C3", Tel: "013900139000", Nickname: "Robert", Email: "bob@example.com"},
		{ID: "C4", Tel: "8001", Email: "no address", Nickname: "an extension"},
		{ID: "C5", Tel: "62785001", Nickname: "local"},
	}
	for i, f := range customer.Fields {
		if f.Account {
			r := &customer.Record{ID: fmt.Sprintf("A%d", i)}
			*f.Of(r) = "account-" + f.Wire
			people = append(people, r)
		}
	}
	return people
}

// Many are n customers with a number, an email and an account each: enough for
// a database to prefer an index.
func Many(n int) []*customer.Record {
	many := make([]*customer.Record, n)
	for i := range many {
		many[i] = &customer.Record{ID: fmt.Sprint(i), Tel: fmt.Sprintf("138%08d", i), Email: fmt.Sprintf("u%d@example.com", i), LineID: fmt.Sprint("l", i)}
	}
	return many
}

// Queries are lookups by each parameter and by several: none may scan.
func Queries() []customer.Query {
	var all []customer.Query
	for _, params := range [][]customer.Param{
		{customer.ByID},
		{customer.ByTel},
		{customer.ByEmail},
		{customer.ByAccount},
		{customer.ByTel, customer.ByEmail},
		{customer.ByTel, customer.ByAccount},
		{customer.ByID, customer.ByTel, customer.ByEmail, customer.ByAccount},
	} {
		var q customer.Query
		for _, p := range params {
			q = append(q, customer.Condition{Param: p, Raw: "x", Key: "x"})
		}
		all = append(all, q)
	}
	return all
}

// Put writes records as the importers do.
func Put(t testing.TB, s customer.Writer, records ...*customer.Record) {
	t.Helper()
	for _, r := range records {
		if err := r.Normalize(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(t.Context(), records, nil); err != nil {
		t.Fatal(err)
	}
}

// IDs are those of the customers that params find, in their order.
func IDs(t testing.TB, s customer.Store, params map[string]any, limit int) string {
	t.Helper()
	q, err := customer.NewQuery(params, Region)
	if err != nil {
		t.Fatal(err)
	}
	if q.Nobody() {
		return ""
	}
	found, err := s.Find(t.Context(), q, limit)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, len(found))
	for i, r := range found {
		ids[i] = r.ID
	}
	return strings.Join(ids, " ")
}

func finding(t *testing.T, s customer.Writer) {
	t.Helper()
	Put(t, s, People()...)
	type p = map[string]any
	cases := map[string]struct {
		params p
		want   string
	}{
		"by id":                  {p{"id": "C1"}, "C1"},
		"an id is to the letter": {p{"id": "c1"}, ""},
		"by number":              {p{"tel": "+8613800138000"}, "C1"},
		"several, newest first":  {p{"tel": "13900139000"}, "C3 C2"},
		"by local number":        {p{"tel": "010-62785001"}, "C5"},
		"not by extension":       {p{"tel": "8001"}, ""},
		"by email, any case":     {p{"email": "ANN@example.COM"}, "C1"},
		"not by what is none":    {p{"email": "no address"}, ""},
		"two that agree":         {p{"tel": "13900139000", "email": "bob@example.com"}, "C3"},
		"two that don't":         {p{"tel": "13900139000", "email": "ann@example.com"}, ""},
		"account and id":         {p{"thirdAccountId": "account-lineid", "id": "C1"}, ""},
		"no wildcard":            {p{"id": "%"}, ""},
		"no wildcard either":     {p{"thirdAccountId": "account_lineid"}, ""},
		"nothing injected":       {p{"id": "' OR '1'='1"}, ""},
		"nor here":               {p{"thirdAccountId": "x' UNION SELECT rowid FROM switchboard_customers --"}, ""},
	}
	for i, f := range customer.Fields {
		if f.Account {
			cases["by "+f.Wire] = struct {
				params p
				want   string
			}{p{"thirdAccountId": "account-" + f.Wire}, fmt.Sprintf("A%d", i)}
		}
	}
	for name, test := range cases {
		if got := IDs(t, s, test.params, 10); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	if got := IDs(t, s, p{"tel": "13900139000"}, 1); got != "C3" {
		t.Errorf("with a limit: %q", got)
	}
}

func writing(t *testing.T, s customer.Writer) {
	t.Helper()
	Put(t, s, People()...)
	if n, err := s.Count(t.Context()); err != nil || n != int64(len(People())) {
		t.Errorf("count: %d %v", n, err)
	}
	// whoever is written again is replaced, and is the newest
	Put(t, s, &customer.Record{ID: "C2", Tel: "13900139000", Nickname: "Bobby"})
	if got := IDs(t, s, map[string]any{"tel": "13900139000"}, 10); got != "C2 C3" {
		t.Errorf("after writing again: %q", got)
	}
	// two of one id in one batch: the later wins
	Put(t, s, &customer.Record{ID: "X", Nickname: "first"}, &customer.Record{ID: "X", Nickname: "second", LineID: "l"})
	q := customer.Query{{Param: customer.ByID, Raw: "X", Key: "X"}}
	found, err := s.Find(t.Context(), q, 10)
	if err != nil || len(found) != 1 || found[0].Nickname != "second" || found[0].LineID != "l" {
		t.Errorf("two of one id: %v %v", found, err)
	}
	for _, want := range []bool{true, false} {
		if deleted, err := s.Delete(t.Context(), "X"); deleted != want || err != nil {
			t.Errorf("deleting: %v %v, want %v", deleted, err, want)
		}
	}
	if got := IDs(t, s, map[string]any{"thirdAccountId": "l"}, 10); got != "" {
		t.Errorf("after deleting: %q", got)
	}
	Put(t, s) // nobody
}

func oddValues(t *testing.T, s customer.Writer) {
	t.Helper()
	odd := &customer.Record{ID: `'";--%_\`, Nickname: "张三 \u202e {env.HOME}", Remark: "two\nlines\ttab \\ \"quoted\" 'single' $1 ?1 :x", Custom: map[string]string{"客户": "金\n'\""}}
	Put(t, s, odd)
	found, err := s.Find(t.Context(), customer.Query{{Param: customer.ByID, Raw: odd.ID, Key: odd.ID}}, 2)
	if err != nil || len(found) != 1 || !reflect.DeepEqual(found[0], odd) {
		t.Errorf("got %+v %v\nwant %+v", found, err, odd)
	}
}

func marks(t *testing.T, s customer.Writer) {
	t.Helper()
	steps := []struct {
		mark *customer.Mark
		want int64
	}{
		{nil, 0},
		{&customer.Mark{Source: "a", Line: 500}, 500},
		{&customer.Mark{Source: "b", Line: 7}, 500},
		{&customer.Mark{Source: "a", Line: 1000}, 1000},
		{&customer.Mark{Source: "a", Line: 1200, Done: true}, 0},
	}
	for i, step := range steps {
		if err := s.Put(t.Context(), []*customer.Record{{ID: fmt.Sprint(i)}}, step.mark); err != nil {
			t.Fatal(err)
		}
		if line, err := s.Marked(t.Context(), "a"); err != nil || line != step.want {
			t.Errorf("step %d: marked %d %v, want %d", i, line, err, step.want)
		}
	}
}

func all(t *testing.T, s customer.Writer) {
	t.Helper()
	var batch []*customer.Record
	const n = 1234
	for i := range n {
		batch = append(batch, &customer.Record{ID: fmt.Sprintf("%05d", i)})
	}
	Put(t, s, batch...)
	count, last := 0, ""
	for r, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if r.ID <= last {
			t.Fatalf("%s after %s", r.ID, last)
		}
		last = r.ID
		count++
	}
	if count != n {
		t.Errorf("%d customers, want %d", count, n)
	}
	for _, err := range s.All(t.Context()) { // who stops early leaves nothing open
		if err != nil {
			t.Error(err)
		}
		break
	}
}

// together writes and reads with several instances that start at once.
func together(t *testing.T, instances []customer.Writer) {
	t.Helper()
	var group sync.WaitGroup
	for n, s := range instances {
		for g := range 3 {
			group.Go(func() {
				for i := range 20 {
					id := fmt.Sprintf("%d-%d-%d", n, g, i)
					if err := s.Put(t.Context(), []*customer.Record{{ID: id, LineID: "l" + id}}, nil); err != nil {
						t.Errorf("putting: %v", err)
						return
					}
					if got := IDs(t, s, map[string]any{"thirdAccountId": "l" + id}, 2); got != id {
						t.Errorf("found %q, want %s", got, id)
					}
				}
			})
		}
	}
	group.Wait()
	if n, err := instances[0].Count(t.Context()); err != nil || n != int64(len(instances)*60) {
		t.Errorf("count: %d %v", n, err)
	}
}

func ended(t *testing.T, s customer.Writer) {
	t.Helper()
	Put(t, s, People()...)
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	q := customer.Query{{Param: customer.ByID, Raw: "C1", Key: "C1"}}
	if _, err := s.Find(ctx, q, 1); !errors.Is(err, customer.ErrUnavailable) {
		t.Errorf("finding: %v", err)
	}
	if err := s.Put(ctx, []*customer.Record{{ID: "late"}}, nil); !errors.Is(err, customer.ErrUnavailable) {
		t.Errorf("putting: %v", err)
	}
	if _, err := s.Count(ctx); !errors.Is(err, customer.ErrUnavailable) {
		t.Errorf("counting: %v", err)
	}
	for _, err := range s.All(ctx) {
		if !errors.Is(err, customer.ErrUnavailable) {
			t.Errorf("all: %v", err)
		}
	}
	if got := IDs(t, s, map[string]any{"id": "late"}, 1); got != "" {
		t.Errorf("what failed was written")
	}
}
