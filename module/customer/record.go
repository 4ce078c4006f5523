// Package customer is the customer directory: what a customer is, by what one
// is found, and what a store of customers has to do.
package customer

import (
	"cmp"
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
	case no, "0", "false", "no", "n": // isVip has 2 for no
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

// Field is a fixed field of a customer. This table is the one place that says
// which there are: answers, import, export, SQL and documentation follow it.
type Field struct {
	Wire   string // the protocol's spelling, mistakes included
	Column string // its name in a store of ours
	About  string // what it holds
	Of     func(*Record) *string

	// Key tells that a customer can be found by it.
	Key bool
	// Account tells that thirdAccountId is compared with it.
	Account bool
	// Fallback stands in for an empty value of a field that the protocol
	// requires; nil where it does not.
	Fallback func(*Record) string
}

// Fields are all fixed fields, in the protocol's order.
var Fields = []Field{
	{Wire: "id", Column: "id", About: "customer ID", Key: true, Of: func(r *Record) *string { return &r.ID }, Fallback: func(*Record) string { return "" }},
	{Wire: "tel", Column: "tel", About: "mobile number", Key: true, Of: func(r *Record) *string { return &r.Tel }},
	{Wire: "email", Column: "email", About: "email address", Key: true, Of: func(r *Record) *string { return &r.Email }},
	{Wire: "partner_id", Column: "partner_id", About: "docking ID", Key: true, Account: true, Of: func(r *Record) *string { return &r.PartnerID }},
	{Wire: "wx_unionid", Column: "wx_unionid", About: "WeChat UnionID", Key: true, Account: true, Of: func(r *Record) *string { return &r.WXUnionID }},
	{Wire: "wx_external_userid", Column: "wx_external_userid", About: "external contact ID of WeCom", Key: true, Account: true, Of: func(r *Record) *string { return &r.WXExternalUserID }},
	{Wire: "wx_openid", Column: "wx_openid", About: "WeChat OpenID", Key: true, Account: true, Of: func(r *Record) *string { return &r.WXOpenID }},
	{Wire: "faceBookid", Column: "facebook_id", About: "Facebook ID", Key: true, Account: true, Of: func(r *Record) *string { return &r.FacebookID }},
	{Wire: "instagramid", Column: "instagram_id", About: "Instagram ID", Key: true, Account: true, Of: func(r *Record) *string { return &r.InstagramID }},
	{Wire: "whatsappid", Column: "whatsapp_id", About: "WhatsApp ID", Key: true, Account: true, Of: func(r *Record) *string { return &r.WhatsAppID }},
	{Wire: "lineid", Column: "line_id", About: "LINE ID", Key: true, Account: true, Of: func(r *Record) *string { return &r.LineID }},
	{Wire: "telegramid", Column: "telegram_id", About: "Telegram ID", Key: true, Account: true, Of: func(r *Record) *string { return &r.TelegramID }},
	{Wire: "discordid", Column: "discord_id", About: "Discord ID", Key: true, Account: true, Of: func(r *Record) *string { return &r.DiscordID }},
	{Wire: "visitorids", Column: "visitor_ids", About: "visitor IDs, separated by commas", Of: func(r *Record) *string { return &r.VisitorIDs }},
	{Wire: "nick", Column: "nickname", About: "nickname", Of: func(r *Record) *string { return &r.Nickname }, Fallback: (*Record).someName},
	{Wire: "uname", Column: "real_name", About: "real name", Of: func(r *Record) *string { return &r.RealName }},
	{Wire: "sexName", Column: "gender", About: "gender: Male, Female", Of: func(r *Record) *string { return &r.Gender }, Fallback: func(*Record) string { return GenderUnknown }},
	{Wire: "countryName", Column: "country", About: "country", Of: func(r *Record) *string { return &r.Country }},
	{Wire: "provice_name", Column: "province", About: "province", Of: func(r *Record) *string { return &r.Province }},
	{Wire: "city_name", Column: "city", About: "city", Of: func(r *Record) *string { return &r.City }},
	{Wire: "remark", Column: "remark", About: "note", Of: func(r *Record) *string { return &r.Remark }},
	{Wire: "userStatusName", Column: "status", About: "status: blacklist, normal", Of: func(r *Record) *string { return &r.Status }, Fallback: (*Record).someStatus},
	{Wire: "isVip", Column: "vip", About: "VIP: 1 yes, 2 no", Of: func(r *Record) *string { return &r.VIP }},
	{Wire: "vipLevel", Column: "vip_level", About: "VIP level", Of: func(r *Record) *string { return &r.VIPLevel }},
	{Wire: "vipLeveName", Column: "vip_level_name", About: "VIP level's name", Of: func(r *Record) *string { return &r.VIPLevelName }},
	{Wire: "isblack", Column: "blacklisted", About: "blacklisted: 1 yes, 0 no", Of: func(r *Record) *string { return &r.Blacklisted }, Fallback: (*Record).someBlacklisted},
	{Wire: "enterprise_name", Column: "enterprise", About: "enterprise", Of: func(r *Record) *string { return &r.Enterprise }},
	{Wire: "sourceName", Column: "source", About: "channel", Of: func(r *Record) *string { return &r.Source }},
	{Wire: "liableServiceName", Column: "agent", About: "agent in charge", Of: func(r *Record) *string { return &r.Agent }},
	{Wire: "userLabel", Column: "label_ids", About: "tag IDs, separated by commas", Of: func(r *Record) *string { return &r.LabelIDs }},
	{Wire: "userLableName", Column: "label_names", About: `tags: "group": "tag 1", "tag 2"`, Of: func(r *Record) *string { return &r.LabelNames }},
}

func (r *Record) someName() string { return cmp.Or(r.RealName, r.ID) }

func (r *Record) someStatus() string {
	if r.Blacklisted == BlacklistedYes {
		return StatusBlacklist
	}
	return StatusNormal
}

func (r *Record) someBlacklisted() string {
	if r.Status == StatusBlacklist {
		return BlacklistedYes
	}
	return BlacklistedNo
}

var byWire = func() map[string]*Field {
	m := make(map[string]*Field, len(Fields))
	for i := range Fields {
		m[Fields[i].Wire] = &Fields[i]
	}
	return m
}()

// FieldOf returns the fixed field with a name on the wire, or nil.
func FieldOf(wire string) *Field { return byWire[wire] }

// Set sets a field by its name on the wire; a name that is no fixed field is
// the id of a custom one.
func (r *Record) Set(wire, value string) {
	if f := FieldOf(wire); f != nil {
		*f.Of(r) = value
		return
	}
	if r.Custom == nil {
		r.Custom = make(map[string]string)
	}
	r.Custom[wire] = value
}

// validCustomID holds for letters, digits and the signs of names, in any
// language, up to 128 bytes.
func validCustomID(id string) bool {
	return id != "" && len(id) <= 128 && utf8.ValidString(id) && id[0] != '_' &&
		!strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || strings.ContainsRune("\"'`{}[]<>,;=\\\x7f", r) })
}

func checkText(name, value string) error {
	switch {
	case len(value) > MaxValue:
		return errors.New(name + " is too long")
	case !utf8.ValidString(value):
		return errors.New(name + " is not UTF-8")
	case strings.IndexByte(value, 0) >= 0:
		return errors.New(name + " holds a NUL byte")
	}
	return nil
}

// CheckCustomID reports whether a name can be the id of a custom field. The error
// does not hold it.
func CheckCustomID(id string) error {
	if FieldOf(id) != nil || !validCustomID(id) {
		return errors.New("a custom field's id is no name of its own")
	}
	return nil
}
