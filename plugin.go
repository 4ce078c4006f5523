// Package switchboard links every module of Switchboard into Caddy: the
// package that xcaddy builds with.
package switchboard

import (
	_ "github.com/switchboard-ivr/switchboard/handlers"
	_ "github.com/switchboard-ivr/switchboard/module"
	_ "github.com/switchboard-ivr/switchboard/module/command"
	_ "github.com/switchboard-ivr/switchboard/module/customer/mysql"
	_ "github.com/switchboard-ivr/switchboard/module/customer/postgres"
	_ "github.com/switchboard-ivr/switchboard/module/customer/sqlite"
	_ "github.com/switchboard-ivr/switchboard/module/logencoder"
	_ "github.com/switchboard-ivr/switchboard/module/transport"
)
