package lookup

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/answer"
	switchboard "github.com/switchboard-ivr/switchboard/module"
)

// Name is the name of lookups where APIs have theirs: in logs and metric labels.
// No API may have this name.
const Name = switchboard.LookupName

const (
	defaultBudget = time.Second
	maxBody       = 16 << 10         // a query has only a few short values
	maxNotFound   = 30 * time.Second // so that a new customer is found soon
)

// The values of the settings.
const (
	emptyBlank, emptyNull, emptyOmit            = "blank", "null", "omit"
	notFoundNull, notFoundBlank, notFoundStatus = "null", "blank", "404"
	multipleNewest, multipleNone                = "newest", "none"
)

// Provision finds the customer directory and resolves the keys. It opens nothing.
func (l *Lookup) Provision(ctx caddy.Context) error {
	if err := l.provision(ctx); err != nil {
		return fmt.Errorf("customer_lookup: %w", err)
	}
	return nil
}

func (l *Lookup) provision(ctx caddy.Context) error {
	asWritten, err := json.Marshal(l) // before defaults are set
	if err != nil {
		return err
	}
	if err := l.check(); err != nil {
		return err
	}
	loaded, err := ctx.App("switchboard")
	if err != nil {
		return err
	}
	app := loaded.(*switchboard.App)
	l.server, _ = ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if l.route, err = l.New(ctx, app, Name, endpoint.Defaults{
		Subject: "the customer directory", Budget: defaultBudget, StatusField: "off", HasDefault: true, Error: true,
		MaxBody: maxBody,
	}); err != nil {
		return err
	}
	if l.directory, err = app.Customers(); err != nil {
		return err
	}
	if l.route.Style.Format == answer.Text && len(l.Fields) != 1 {
		return errTextOfMany
	}
	l.setDefaults()
	l.answers = answers{fields: l.Fields, empty: l.Empty, null: l.NotFound != notFoundBlank, envelope: l.Envelope}
	if l.asked = 1; l.Multiple == multipleNone {
		l.asked = 2
	}
	if l.audit, err = l.Audit.provision(ctx.Logger()); err != nil {
		return err
	}
	l.route.Defaults, l.route.Checks = l.answers.notFound, checks
	if err := l.ProvisionCache(app, l.route, string(asWritten), app.CustomersIdentity()); err != nil {
		return err
	}
	if err := l.route.CheckContract(); err != nil {
		return err
	}
	app.RegisterLookup(string(asWritten), l.what(), l)
	return nil
}

// what describes the lookup, to tell it from the others.
func (l *Lookup) what() string {
	what := "all fields"
	if l.Fields != nil {
		what = "fields " + strings.Join(l.Fields, " ")
	}
	if l.For != "" {
		what = "for " + l.For + ", " + what
	}
	return what
}

var errTextOfMany = errors.New("format text is one value; name one field, e.g. `fields nick`")

// setDefaults fills in what isn't configured. With a caller on the line, every
// answer has the same fields, and no caller is taken for somebody else.
func (l *Lookup) setDefaults() {
	if l.Empty == "" {
		l.Empty = emptyBlank
	}
	if l.NotFound == "" {
		l.NotFound = notFoundNull
		if l.route.Voice {
			l.NotFound = notFoundBlank
		}
	}
	if l.Multiple == "" {
		l.Multiple = multipleNewest
		if l.route.Voice {
			l.Multiple = multipleNone
		}
	}
}

// check validates the settings.
func (l *Lookup) check() error {
	switch {
	case l.Auth == nil:
		return errors.New("auth is missing: a customer directory is never open by default; write `auth issuer NAME`, `auth key {env.KEY}`, `auth user`, or `auth none` if everybody may query it")
	case l.Empty != "" && !slices.Contains([]string{emptyBlank, emptyNull, emptyOmit}, l.Empty):
		return fmt.Errorf("empty %q is unknown; write blank, null or omit", l.Empty)
	case l.NotFound != "" && !slices.Contains([]string{notFoundNull, notFoundBlank, notFoundStatus}, l.NotFound):
		return fmt.Errorf("not_found %q is unknown; write null, blank or 404", l.NotFound)
	case l.Multiple != "" && !slices.Contains([]string{multipleNewest, multipleNone}, l.Multiple):
		return fmt.Errorf("multiple %q is unknown; write newest or none", l.Multiple)
	}
	if l.Cache != nil && l.Cache.NotFound > caddy.Duration(maxNotFound) {
		return fmt.Errorf("cache: not_found is %s, and a new customer would stay unknown for that long; write at most %s", time.Duration(l.Cache.NotFound), maxNotFound)
	}
	for i, name := range l.Fields {
		if slices.Contains(l.Fields[:i], name) {
			return fmt.Errorf("field %s is named twice", name)
		}
	}
	return nil
}
