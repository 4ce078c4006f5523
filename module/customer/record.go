// Package customer is the customer directory: what a customer is, by what one
// is found, and what a store of customers has to do.
package customer

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/switchboard-ivr/switchboard/internal/phone"
)

// Record is one customer: the fixed fields of the protocol's customer query
// (docs/protocol.md), and custom fields by their ids. All values are text; an
// empty one is not known.
type Record struct {
	ID               string
	Tel              string
	Email            string
	PartnerID        string
	WXUnionID        string
	WXExternalUserID string
	WXOpenID         string
	FacebookID       string
	InstagramID      string
	WhatsAppID       string
	LineID           string
	TelegramID       string
	DiscordID        string
	VisitorIDs       string
	Nickname         string
	RealName         string
	Gender           string
	Country          string
	Province         string
	City             string
	Remark           string
	Status           string
	VIP              string
	VIPLevel         string
	VIPLevelName     string
	Blacklisted      string
	Enterprise       string
	Source           string
	Agent            string
	LabelIDs         string
	LabelNames       string

	// Custom holds the custom fields by id. No id is the name of a fixed field.
	Custom map[string]string
}

// The values of fields that have a fixed set of them.
const (
	VIPYes          = "1"
	VIPNo           = "2"
	BlacklistedYes  = "1"
	BlacklistedNo   = "0"
	StatusNormal    = "normal"
	StatusBlacklist = "blacklist"
	GenderUnknown   = "Unknown"
)

// ErrNoID says that a record has no customer id.
var ErrNoID = errors.New("the id is missing")

// Normalize brings a record into the form in which it is stored: blanks around
// values are cut, a telephone number is freed of what a spreadsheet has put around
// it, yes and no are spelled as the protocol spells them, and the
// two ways to say that somebody is blacklisted agree. The errors name the field
// and hold no value.
func (r *Record) Normalize() error {
	for _, f := range Fields {
		value := f.Of(r)
		*value = strings.TrimSpace(*value)
	}
	r.Tel = strings.TrimSpace(phone.Unwrap(r.Tel))
	if r.ID == "" {
		return ErrNoID
	}
	var ok bool
	if r.VIP, ok = spell(r.VIP, VIPYes, VIPNo); !ok {
		return errors.New("isVip is neither 1 (yes) nor 2 (no)")
	}
	if r.Blacklisted, ok = spell(r.Blacklisted, BlacklistedYes, BlacklistedNo); !ok {
		return errors.New("isblack is neither 1 (yes) nor 0 (no)")
	}
	if r.Blacklisted == "" && r.Status == StatusBlacklist {
		r.Blacklisted = BlacklistedYes
	}
	return r.check()
}

// spell turns the usual ways to say yes and no into the protocol's. An empty
// value stays empty.
func spell(value, yes, no string) (string, bool) {
	switch strings.ToLower(value) {
	case "":
		return "", true
	case yes, "true", "yes", "y":
		return yes, true
	case no, "false", "no", "n":
		return no, true
	case "0": // of isVip
		return no, true
	default:
		return value, false
	}
}

// Limits of one field.
const (
	MaxKey   = 255     // characters of what a customer is found by
	MaxValue = 4 << 10 // bytes of everything else
)

func (r *Record) check() error {
	for _, f := range Fields {
		value := *f.Of(r)
		if f.Key && utf8.RuneCountInString(value) > MaxKey {
			return errors.New(f.Wire + " is too long")
		}
		if err := checkText(f.Wire, value); err != nil {
			return err
		}
	}
	for id, value := range r.Custom {
		if err := CheckCustomID(id); err != nil {
			return err
		}
		if err := checkText("a custom field", value); err != nil {
			return err
		}
	}
	return nil
}

// Complete returns the value of every field of an answer, in the order of the
// protocol, then the custom fields by id. Where the protocol requires a field,
// a fallback stands in for an empty one:
//
//   - nick: the real name, else the id
//   - sexName: Unknown
//   - userStatusName: blacklist or normal, as isblack says
//   - isblack: 1 when userStatusName is blacklist, else 0
func (r *Record) Complete(each func(name, value string)) {
	for i := range Fields {
		each(Fields[i].Wire, Fields[i].complete(r))
	}
	for _, id := range slices.Sorted(maps.Keys(r.Custom)) {
		each(id, r.Custom[id])
	}
}

// Value returns what [Record.Complete] gives for one field; "" for a custom one
// that the customer has not.
func (r *Record) Value(name string) string {
	f := FieldOf(name)
	if f == nil {
		return r.Custom[name]
	}
	return f.complete(r)
}

func (f *Field) complete(r *Record) string {
	value := *f.Of(r)
	if value == "" && f.Fallback != nil {
		return f.Fallback(r)
	}
	return value
}
