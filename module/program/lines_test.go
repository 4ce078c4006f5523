package program

import "testing"

func TestLines(t *testing.T) {
	for _, tt := range []struct {
		name, output, system string
		lines, file          string
	}{
		{"nothing", "", "", "", ""},
		{"a program", ` {name: .data.nick} `, "", "output `{name: .data.nick}`\n", ""},
		{"a phone system", "", "asterisk", "for asterisk\n", ""},
		{"both", ".", "twilio", "output `.`\nfor twilio\n", ""},
		{"lines", "{\n  a: 1, # one\n  b: 2\n}", "", "output `{\n  a: 1, # one\n  b: 2\n}`\n", ""},
		{"a backquote", "\"`\"", "", "output <<JQ\n\"`\"\nJQ\n", ""},
		{"what Caddy takes for the environment", "{$x}", "", "output @order.jq\n", "order.jq"},
		{"what Caddy takes for a placeholder", "{path}", "", "output @order.jq\n", "order.jq"},
		{"what looks like one", "{tel}", "", "output `{tel}`\n", ""},
		{"what looks like a file", "@x.jq", "", "output @order.jq\n", "order.jq"},
		{"both kinds of quotes", "\"`\nJQ\n\"", "", "output @order.jq\n", "order.jq"},
	} {
		lines, file := Lines("order", tt.output, tt.system)
		if lines != tt.lines || file != tt.file {
			t.Errorf("%s: %q, %q", tt.name, lines, file)
		}
	}
}
