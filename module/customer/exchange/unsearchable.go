package exchange

import (
	"fmt"

	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

// Unsearchable counts the customers of a file who can't be found by a field,
// because what stands there is nothing that it could hold. They are imported all
// the same.
type Unsearchable struct {
	Field string // tel or email
	Count int64
	First int64 // the line of the first one
}

// String is a line for people; it holds no value.
func (u Unsearchable) String() string {
	customers := "customers"
	if u.Count == 1 {
		customers = "customer"
	}
	return fmt.Sprintf("%s of %d %s can't be searched, first in line %d", u.Field, u.Count, customers, u.First)
}

// unsearched counts for each field that is searched in another form than it has.
type unsearched struct{ tel, email tally }

// tally counts customers; first is the line of the first one.
type tally struct{ count, first int64 }

func (u *unsearched) note(r *customer.Record, line int64, region phone.Region) {
	if r.Tel != "" && customer.TelKey(r.Tel, region) == "" {
		u.tel.add(line)
	}
	if r.Email != "" && customer.EmailKey(r.Email) == "" {
		u.email.add(line)
	}
}

func (t *tally) add(line int64) {
	if t.count++; t.count == 1 {
		t.first = line
	}
}

// found are those of which there is one.
func (u *unsearched) found() (all []Unsearchable) {
	if u.tel.count > 0 {
		all = append(all, Unsearchable{string(customer.ByTel), u.tel.count, u.tel.first})
	}
	if u.email.count > 0 {
		all = append(all, Unsearchable{string(customer.ByEmail), u.email.count, u.email.first})
	}
	return all
}
