// Package customers makes customers up: as many as one likes, alike to real
// ones, and always the same ones for the same seed. Nobody of them exists.
package customers

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// Generator makes customers. Telephone numbers, emails and ids are unique up to
// Max customers.
type Generator struct{ seed uint64 }

// Max is how many customers differ from each other in everything they are found
// by.
const Max = 20_000_000

// New returns the generator of a seed.
func New(seed uint64) Generator { return Generator{seed} }

// Customer is the customer with a number, from 0.
func (g Generator) Customer(i int) *customer.Record {
	r := rand.New(rand.NewPCG(g.seed, uint64(i))) //nolint:gosec // it is to be predictable
	c := &customer.Record{ID: "C" + strconv.Itoa(1_000_000+i)}
	home := &countries[0]
	if r.IntN(8) == 0 {
		home = &countries[1+r.IntN(len(countries)-1)]
	}
	c.Tel = home.number(i)
	c.Country = home.name
	place := pick(r, home.places)
	c.Province, c.City, _ = strings.Cut(place, "/")
	family, given := pick(r, home.family), pick(r, home.given)
	c.Gender = pick(r, []string{"Male", "Female", "Female", "Male", ""})
	handle := strings.ToLower(pick(r, handles)) + strconv.Itoa(i)
	if home.familyFirst {
		c.RealName = family + given
		c.Nickname = pick(r, []string{c.RealName, family + "先生", family + "女士", handle})
	} else {
		c.RealName = given + " " + family
		c.Nickname = pick(r, []string{given, c.RealName, handle})
	}
	if r.IntN(10) < 7 {
		c.Email = handle + "@" + pick(r, []string{"example.com", "example.net", "example.org", "mail.example.com"})
	}
	g.accounts(r, c, i)
	g.standing(r, c)
	return c
}

// accounts gives somebody ids of other systems.
func (g Generator) accounts(r *rand.Rand, c *customer.Record, i int) {
	unique := fmt.Sprintf("%016x", (uint64(i)+g.seed)*0x9e3779b97f4a7c15) //nolint:gosec // i is no less than 0
	if r.IntN(3) == 0 {
		c.PartnerID = "P-" + unique[:16]
	}
	if c.Country == countries[0].name {
		if r.IntN(2) == 0 {
			c.WXUnionID = "oWx" + unique
			c.WXOpenID = "o" + unique + "Ab"
		}
		if r.IntN(6) == 0 {
			c.WXExternalUserID = "wm" + unique
		}
	} else if r.IntN(2) == 0 {
		*pick(r, []*string{&c.WhatsAppID, &c.FacebookID, &c.LineID, &c.TelegramID, &c.InstagramID, &c.DiscordID}) = "u" + unique
	}
	if r.IntN(4) == 0 {
		c.VisitorIDs = fmt.Sprintf("v%s,v%08x", unique[:8], r.Uint32())
	}
}

// standing says how we stand with somebody.
func (g Generator) standing(r *rand.Rand, c *customer.Record) {
	c.Status, c.Blacklisted, c.VIP = customer.StatusNormal, customer.BlacklistedNo, customer.VIPNo
	switch n := r.IntN(100); {
	case n < 2:
		c.Status, c.Blacklisted = customer.StatusBlacklist, customer.BlacklistedYes
	case n < 15:
		level := 1 + r.IntN(3)
		c.VIP, c.VIPLevel = customer.VIPYes, strconv.Itoa(level)
		c.VIPLevelName = []string{"silver", "gold", "platinum"}[level-1]
	}
	c.Source = pick(r, []string{"phone", "web", "WeChat", "app", "email", "import"})
	c.Agent = pick(r, []string{"王芳", "李娜", "Anna Schmidt", "Tom Baker", ""})
	if r.IntN(5) == 0 {
		c.Enterprise = pick(r, enterprises)
	}
	if r.IntN(3) == 0 {
		n := r.IntN(len(labels))
		c.LabelIDs, c.LabelNames = fmt.Sprintf("%d,%d", 100+n, 200+n), labels[n]
	}
	if r.IntN(6) == 0 {
		c.Remark = pick(r, remarks)
	}
	if r.IntN(10) == 0 {
		c.Custom = map[string]string{"contract_no": fmt.Sprintf("K%07d", r.IntN(10_000_000))}
	}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }
