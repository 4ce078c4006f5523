package customer_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// The fields are those of the protocol, under its spelling and in its order.
func TestFieldsAreTheDocuments(t *testing.T) {
	const document = "id tel email partner_id wx_unionid wx_external_userid wx_openid faceBookid instagramid whatsappid lineid telegramid " +
		"discordid visitorids nick uname sexName countryName provice_name city_name remark userStatusName isVip vipLevel vipLeveName " +
		"isblack enterprise_name sourceName liableServiceName userLabel userLableName"
	var names []string
	accounts, required := 0, ""
	columns := map[string]bool{}
	for i, f := range customer.Fields {
		names = append(names, f.Wire)
		if f.Account {
			accounts++
		}
		if f.Fallback != nil {
			required += f.Wire + " "
		}
		if columns[f.Column] || f.About == "" {
			t.Errorf("%s: column %q is taken, or nothing is said about it", f.Wire, f.Column)
		}
		columns[f.Column] = true
		// each field is a place of its own
		r := new(customer.Record)
		r.Set(f.Wire, "x")
		for j, other := range customer.Fields {
			if got := *other.Of(r); (got == "x") != (i == j) {
				t.Errorf("%s sets %s to %q", f.Wire, other.Wire, got)
			}
		}
	}
	if got := strings.Join(names, " "); got != document {
		t.Errorf("got  %s\nwant %s", got, document)
	}
	if accounts != 10 {
		t.Errorf("%d account ids, want 10", accounts)
	}
	if required != "id nick sexName userStatusName isblack " {
		t.Errorf("required: %s", required)
	}
}

// What the protocol requires is never empty.
func TestComplete(t *testing.T) {
	for name, test := range map[string]struct {
		record customer.Record
		want   map[string]string
	}{
		"only an id":           {customer.Record{ID: "C1"}, map[string]string{"id": "C1", "nick": "C1", "sexName": "Unknown", "userStatusName": "normal", "isblack": "0"}},
		"a real name":          {customer.Record{ID: "C1", RealName: "Ann"}, map[string]string{"nick": "Ann", "uname": "Ann"}},
		"blacklisted":          {customer.Record{ID: "C1", Blacklisted: "1"}, map[string]string{"isblack": "1", "userStatusName": "blacklist"}},
		"on the blacklist":     {customer.Record{ID: "C1", Status: "blacklist"}, map[string]string{"isblack": "1", "userStatusName": "blacklist"}},
		"a status of its own":  {customer.Record{ID: "C1", Status: "dormant"}, map[string]string{"isblack": "0", "userStatusName": "dormant"}},
		"nothing is made up":   {customer.Record{ID: "C1"}, map[string]string{"isVip": "", "tel": "", "email": ""}},
		"custom fields follow": {customer.Record{ID: "C1", Custom: map[string]string{"f1": "gold"}}, map[string]string{"f1": "gold"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]string{}
			var order []string
			test.record.Complete(func(name, value string) {
				got[name] = value
				order = append(order, name)
			})
			for field, want := range test.want {
				if got[field] != want {
					t.Errorf("%s is %q, want %q", field, got[field], want)
				}
			}
			if order[0] != "id" || order[30] != "userLableName" || len(order) != 31+len(test.record.Custom) {
				t.Errorf("order: %v", order)
			}
		})
	}
}

func TestNormalize(t *testing.T) {
	for name, test := range map[string]struct {
		set  map[string]string
		want map[string]string // or
		err  string
	}{
		"blanks":               {set: map[string]string{"id": " C1 ", "nick": "\tAnn "}, want: map[string]string{"id": "C1", "nick": "Ann"}},
		"no id":                {set: map[string]string{"id": "  ", "nick": "Ann"}, err: "the id is missing"},
		"yes":                  {set: map[string]string{"id": "1", "isVip": "TRUE", "isblack": "y"}, want: map[string]string{"isVip": "1", "isblack": "1"}},
		"no":                   {set: map[string]string{"id": "1", "isVip": "0", "isblack": "false"}, want: map[string]string{"isVip": "2", "isblack": "0"}},
		"as the document says": {set: map[string]string{"id": "1", "isVip": "2", "isblack": "1"}, want: map[string]string{"isVip": "2", "isblack": "1"}},
		"maybe":                {set: map[string]string{"id": "1", "isVip": "perhaps"}, err: "isVip is neither 1 (yes) nor 2 (no)"},
		"black or white":       {set: map[string]string{"id": "1", "isblack": "2"}, err: "isblack is neither 1 (yes) nor 0 (no)"},
		"on the blacklist":     {set: map[string]string{"id": "1", "userStatusName": "blacklist"}, want: map[string]string{"isblack": "1"}},
		"a long key":           {set: map[string]string{"id": strings.Repeat("x", 256)}, err: "id is too long"},
		"a long note":          {set: map[string]string{"id": "1", "remark": strings.Repeat("x", 4097)}, err: "remark is too long"},
		"not UTF-8":            {set: map[string]string{"id": "1", "nick": "a\xff"}, err: "nick is not UTF-8"},
		"a NUL byte":           {set: map[string]string{"id": "1", "city_name": "a\x00b"}, err: "city_name holds a NUL byte"},
		"a custom field":       {set: map[string]string{"id": "1", "客户等级": "金"}, want: map[string]string{"客户等级": "金"}},
		"a bad custom id":      {set: map[string]string{"id": "1", `a"b`: "x"}, err: "a custom field's id is no name of its own"},
		"ours":                 {set: map[string]string{"id": "1", "_status": "x"}, err: "a custom field's id is no name of its own"},
		"a long custom field":  {set: map[string]string{"id": "1", "f1": strings.Repeat("x", 4097)}, err: "a custom field is too long"},
	} {
		t.Run(name, func(t *testing.T) {
			r := new(customer.Record)
			for field, value := range test.set {
				r.Set(field, value)
			}
			err := r.Normalize()
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("got %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for field, want := range test.want {
				got := r.Custom[field]
				if f := customer.FieldOf(field); f != nil {
					got = *f.Of(r)
				}
				if got != want {
					t.Errorf("%s is %q, want %q", field, got, want)
				}
			}
			again := *r
			again.Custom = maps.Clone(r.Custom)
			if err := again.Normalize(); err != nil || again.ID != r.ID {
				t.Errorf("normalizing again: %v", err)
			}
		})
	}
	if !errors.Is(new(customer.Record).Normalize(), customer.ErrNoID) {
		t.Error("a record without an id is not ErrNoID")
	}
}
