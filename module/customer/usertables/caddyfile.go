package usertables

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/module/blocks"
	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/program"
)

// UnmarshalBlock reads the block of a store, for tables of a kind of database:
//
//	find   <param> <sql>
//	record <jq>
func (t *Tables) UnmarshalBlock(d *caddyfile.Dispenser, kind Kind) error {
	return blocks.New(d, "customers").Read(blocks.Lines{
		"find": func() error { return t.unmarshalFind(d, kind) }, "record": func() error { return t.unmarshalRecord(d) },
	}, "find", "record")
}

func (t *Tables) unmarshalFind(d *caddyfile.Dispenser, kind Kind) error {
	var name, sql string
	if !d.AllArgs(&name, &sql) {
		return d.Err("find takes a parameter and one SELECT in backquotes: find tel `SELECT * FROM contacts WHERE phone IN (:variants)`")
	}
	param := customer.Param(name)
	if _, ok := t.Find[param]; ok {
		return d.Errf("find %s is already set; each parameter has one query", param)
	}
	if _, err := compileFind(kind, param, sql); err != nil {
		return d.WrapErr(err)
	}
	if t.Find == nil {
		t.Find = make(map[customer.Param]string)
	}
	t.Find[param] = sql
	return nil
}

func (t *Tables) unmarshalRecord(d *caddyfile.Dispenser) error {
	if t.Record != "" {
		return d.Err("record is already set; one program makes the customers of all queries")
	}
	var raw string
	if !d.AllArgs(&raw) {
		return d.Err("record takes one jq program in backquotes: record `{id: .contact_no, nick: .display_name}`")
	}
	text, err := program.Arg(d, raw)
	if err != nil {
		return err
	}
	define := program.Define(d)
	if _, err := compileRecord(text, define); err != nil {
		return d.Errf("record: %v", err)
	}
	// A store is set up by itself: what the program calls goes with it.
	if _, err := compileRecord(text, ""); err != nil {
		text = program.Join(define, text)
	}
	t.Record = text
	return nil
}
