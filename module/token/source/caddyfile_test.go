package source

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/module/program"
)

// parse reads a source from the body of a `token` block, whose first line is
// line 2 of the file Testfile.
func parse(t *testing.T, body string) (*Source, error) {
	t.Helper()
	_, s, err := parseFile(t, "Testfile", "token crm {\n"+body+"\n}")
	return s, err
}

func parseFile(t *testing.T, name, text string) (string, *Source, error) {
	t.Helper()
	tokens, err := caddyfile.Tokenize([]byte(text), name)
	if err != nil {
		t.Fatal(err)
	}
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	return ParseSource(d)
}

func mustParse(t *testing.T, body string) *Source {
	t.Helper()
	s, err := parse(t, body)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCaddyfileToJSON(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"the document's": {
			`credential app_key {env.KEY}
			credential app_secret {file./run/secrets/crm}
			obtain https://crm.example.com/token/get
			refresh POST https://crm.example.com/token/refresh`,
			`{
				"credentials": {"app_key": "{env.KEY}", "app_secret": "{file./run/secrets/crm}"},
				"obtain": {"url": "https://crm.example.com/token/get"},
				"refresh": {"method": "POST", "url": "https://crm.example.com/token/refresh"}
			}`,
		},
		"static": {
			`static {env.TOKEN}
			inject header token
			token_expired 401 403
			api_success ".code == 0"`,
			`{
				"static": "{env.TOKEN}",
				"inject": {"in": "header", "name": "token"},
				"token_expired": {"status": [401, 403]},
				"api_success": ".code == 0"
			}`,
		},
		"credentials only": {
			"credential app_key k\ncredential secret s\ntimestamp s\ninject none",
			`{
				"credentials": {"app_key": "k", "secret": "s"},
				"timestamp": "s",
				"inject": {"in": "none"}
			}`,
		},
		"a refresh token to begin with": {
			"dialect oauth2\ncredential client_id i\ncredential client_secret s\ncredential refresh_token r\nrefresh https://a.example/token",
			`{
				"dialect": "oauth2",
				"credentials": {"client_id": "i", "client_secret": "s", "refresh_token": "r"},
				"refresh": {"url": "https://a.example/token"}
			}`,
		},
		"everything": {
			"dialect none\n" +
				"define `def twice: . + .;`\n" +
				"credential id {env.ID}\n" +
				"optional scope tenant\n" +
				"obtain GET {env.BASE}/token {\n headers `{a: $scope}`\n query `{id: $id | twice}`\n}\n" +
				"refresh PUT https://a.example/refresh {\n json `{r: $refresh_token}`\n}\n" +
				"success `.ok`\n" +
				"access_token .t\n" +
				"refresh_token .r\n" +
				"expires_in .e at\n" +
				"timestamp \"2006-01-02 15:04:05\" +08:00\n" +
				"lifetime 2h\n" +
				"refresh_before 0.5\n" +
				"must_differ off\n" +
				"inject header X-Auth \"Zoho-oauthtoken {token}\"\n" +
				"token_expired 401 `.code == 40001`\n" +
				"api_success `.code == 0`\n" +
				"keep `{url: .instance_url}` hosts *.example.com api.example.org\n" +
				"retry_refused 10m\n" +
				"timeout 5s\n" +
				"transport http {\n tls_server_name auth.example.com\n}\n" +
				"warm off",
			`{
				"dialect": "none",
				"define": "def twice: . + .;",
				"credentials": {"id": "{env.ID}"},
				"optional": ["scope", "tenant"],
				"obtain": {"method": "GET", "url": "{env.BASE}/token", "headers": "{a: $scope}", "query": "{id: $id | twice}"},
				"refresh": {"method": "PUT", "url": "https://a.example/refresh", "json": "{r: $refresh_token}"},
				"success": ".ok",
				"access_token": ".t",
				"refresh_token": ".r",
				"expires_in": ".e",
				"expires_in_unit": "at",
				"timestamp": "2006-01-02 15:04:05",
				"timestamp_zone": "+08:00",
				"lifetime": 7200000000000,
				"refresh_fraction": 0.5,
				"must_differ": false,
				"inject": {"in": "header", "name": "X-Auth", "template": "Zoho-oauthtoken {token}"},
				"token_expired": {"status": [401], "program": ".code == 40001"},
				"api_success": ".code == 0",
				"keep": {"program": "{url: .instance_url}", "hosts": ["*.example.com", "api.example.org"]},
				"retry_refused": 600000000000,
				"timeout": 5000000000,
				"transport": {"protocol": "http", "tls": {"server_name": "auth.example.com"}},
				"warm": false
			}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(mustParse(t, test.body))
			if err != nil {
				t.Fatal(err)
			}
			var a, b any
			if err := json.Unmarshal([]byte(test.want), &b); err != nil {
				t.Fatal(err)
			}
			_ = json.Unmarshal(got, &a)
			a, b = canonicalJSON(t, a), canonicalJSON(t, b)
			if a != b {
				t.Errorf("got  %s\nwant %s", a, b)
			}
		})
	}
}

func canonicalJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const (
	keys   = "credential app_key k\ncredential app_secret s\n"           // lines 2 and 3
	signIn = "obtain https://crm.example.com/token/get\n"                // line 4 after keys
	none   = "dialect none\naccess_token .t\nobtain https://a.example\n" // lines 2 to 4
)

func TestCaddyfileErrors(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		line string
		want []string
	}{
		"unknown":              {keys + signIn + "succes_if .ok", ":5", []string{"succes_if"}},
		"repeated":             {keys + signIn + "warm on\nwarm off", ":6", []string{"warm", "line 5"}},
		"a credential twice":   {keys + "credential app_key other", ":4", []string{"credential app_key", "line 2"}},
		"empty":                {"", ":1", []string{"empty", "obtain URL"}},
		"nothing to send":      {"inject none", ":1", []string{"obtain URL", "static VALUE"}},
		"unknown dialect":      {"dialect signd\n" + keys + signIn, ":2", []string{`"signd"`, "signed", "oauth2"}},
		"no argument":          {keys + signIn + "success", ":5", []string{"success"}},
		"two arguments":        {keys + signIn + "success .a .b", ":5", []string{".b", "quote"}},
		"a program in a block": {keys + signIn + "success {\n.ok\n}", ":5", []string{"success"}},
		"on or off":            {keys + signIn + "warm yes", ":5", []string{"takes on or off"}},
		"on or off what":       {keys + signIn + "warm", ":5", []string{"warm"}},
		"a duration of what":   {keys + signIn + "timeout", ":5", []string{"timeout"}},
		"a program of what":    {keys + "obtain https://a.example {\njson\n}", ":5", []string{"json"}},
		"a blank word":         {keys + signIn + `static ""`, ":5", []string{"blank"}},

		"a missing credential": {
			"credential app_key k\n" + signIn, ":3",
			[]string{"$app_secret", "`credential app_secret VALUE`"},
		},
		"two missing credentials": {
			signIn, ":2",
			[]string{"$app_key, $app_secret are not given; write `credential app_key VALUE` and `credential app_secret VALUE`, at"}, // the dialect needs both
		},
		"a missing credential of one's own program": {
			none + "refresh https://a.example {\nquery `{id: $id}`\n}", ":6",
			[]string{"refresh query", "`credential id VALUE`", "`optional id`"},
		},
		"a variable of another program": {
			keys + signIn + "success `$status == $app_key`", ":5",
			[]string{"$app_key", "$status, $headers"},
		},
		"an answer's variable in a request": {
			keys + "obtain https://a.example {\njson `{s: $status}`\n}", ":5",
			[]string{"$status", "$timestamp", "$app_key"},
		},
		"a variable that the program binds": {
			keys + "obtain https://a.example {\njson `.a as $x | {x: $x, y: $y}`\n}", ":5",
			[]string{"$y is not given"},
		},
		"a reserved name":        {"credential token x", ":2", []string{"$token", "my_token"}},
		"a reserved optional":    {keys + signIn + "optional status", ":5", []string{"$status", "my_status"}},
		"no variable's name":     {"credential app-key x", ":2", []string{`"app-key"`, "app_key"}},
		"a blank credential":     {`credential app_key ""`, ":2", []string{"blank", "optional"}},
		"half a credential":      {"credential app_key", ":2", []string{"credential NAME VALUE"}},
		"refresh_token, obtain":  {keys + signIn + "credential refresh_token r", ":5", []string{"never used"}},
		"refresh_token, nothing": {"credential refresh_token r", ":2", []string{"refresh URL"}},

		"static and obtain":      {keys + signIn + "static t", ":5", []string{"obtain"}},
		"static and refresh":     {"static t\nrefresh https://a.example", ":2", []string{"refresh"}},
		"refresh alone":          {keys + "refresh https://a.example", ":4", []string{"obtain URL", "credential refresh_token VALUE"}},
		"a dialect, no endpoint": {"dialect signed\n" + keys, ":2", []string{"signed signs in at a token endpoint", "`obtain URL`", "`dialect none`"}},
		"a setting for nothing":  {"static t\nlifetime 2h", ":3", []string{"lifetime", "obtain URL"}},
		"inject, but no token":   {keys + "inject header token", ":4", []string{"no token"}},
		"expired, but no token":  {keys + "token_expired 401", ":4", []string{"no token"}},
		"transport, no endpoint": {keys + "transport http", ":4", []string{"transport", "obtain URL"}},

		"syntax":              {keys + signIn + "success `.code ==`", ":5", []string{"success: line 1, column "}},
		"syntax in a request": {keys + "obtain https://a.example {\nform `{a: }`\n}", ":5", []string{"obtain form: line 1, column "}},
		"syntax in a rule":    {keys + signIn + "token_expired `.a ++`", ":5", []string{"token_expired: line 1"}},
		"syntax in the api's": {keys + signIn + "api_success `.a ++`", ":5", []string{"api_success: line 1"}},
		"syntax in define":    {keys + signIn + "define `def f: ;`", ":5", []string{"define: line 1"}},
		"an unknown function": {keys + signIn + "keep `{a: hello}` hosts *.a.example", ":5", []string{"keep: line 1", "hello"}},
		"an empty program":    {keys + signIn + "success ``", ":5", []string{"{$…}"}},
		"no such file":        {keys + signIn + "success @nowhere.jq", ":5", []string{"nowhere.jq", "no such file"}},
		"no file to define":   {keys + signIn + "define @nowhere.jq", ":5", []string{"nowhere.jq"}},
		"no file of a rule":   {keys + signIn + "token_expired @nowhere.jq", ":5", []string{"nowhere.jq"}},
		"no file to keep":     {keys + signIn + "keep @nowhere.jq", ":5", []string{"nowhere.jq"}},
		"define what":         {keys + signIn + "define", ":5", []string{"define"}},
		"optional what":       {keys + signIn + "optional", ":5", []string{"optional"}},

		"no URL":              {keys + "obtain", ":4", []string{"obtain [METHOD] URL"}},
		"a method, no URL":    {keys + "obtain POST", ":4", []string{"https://"}},
		"too much":            {keys + "obtain POST https://a.example x", ":4", []string{"obtain [METHOD] URL"}},
		"a path":              {keys + "obtain /token", ":4", []string{"scheme and a host"}},
		"no scheme":           {keys + "obtain crm.example.com/token", ":4", []string{"scheme and a host"}},
		"another scheme":      {keys + "obtain ftp://crm.example.com/token", ":4", []string{"scheme and a host"}},
		"a port alone":        {keys + "obtain https://:8443/token", ":4", []string{"scheme and a host"}},
		"a user":              {keys + "obtain https://u:p@crm.example.com", ":4", []string{"user name or password"}},
		"a fragment":          {keys + "obtain https://a.example/#x", ":4", []string{"fragment"}},
		"no URL at all":       {keys + "obtain https://a.example:x/%", ":4", []string{"can't be read"}},
		"a small method":      {keys + "obtain post https://a.example", ":4", []string{`"post"`, "POST"}},
		"a GET with a body":   {keys + "obtain GET https://a.example", ":4", []string{"`query`"}},
		"two bodies":          {keys + "obtain https://a.example {\nform {}\njson {}\n}", ":4", []string{"json and form"}},
		"no part of a URL":    {keys + "obtain https://a.example {\nbody `{}`\n}", ":5", []string{"body", "json"}},
		"a part twice":        {keys + "obtain https://a.example {\njson `{}`\njson `{}`\n}", ":6", []string{"json", "line 5"}},
		"none knows no token": {"dialect none\nobtain https://a.example", ":2", []string{"access_token <jq>"}},

		"no duration":              {keys + signIn + "lifetime 2", ":5", []string{`"2"`, "2h"}},
		"no time":                  {keys + signIn + "lifetime 0", ":5", []string{"above 0"}},
		"a negative duration":      {keys + signIn + "timeout -1s", ":5", []string{"must not be negative"}},
		"a short lifetime":         {keys + signIn + "lifetime 10s", ":5", []string{"30s"}},
		"a long lifetime":          {keys + signIn + "lifetime 401d", ":5", []string{"9600h"}},
		"a long timeout":           {keys + signIn + "timeout 2m", ":5", []string{"1m0s"}},
		"a long pause":             {keys + signIn + "retry_refused 2h", ":5", []string{"1h0m0s"}},
		"a window over half":       {keys + signIn + "lifetime 1h\nrefresh_before 31m", ":6", []string{"more than half", "30m0s"}},
		"a window over all":        {keys + signIn + "lifetime 1h\nrefresh_before 1h", ":6", []string{"more than half"}},
		"a fraction over half":     {keys + signIn + "refresh_before 0.6", ":5", []string{"0.5"}},
		"a negative fraction":      {keys + signIn + "refresh_before -0.1", ":5", []string{"0.5"}},
		"no fraction":              {keys + signIn + "refresh_before 0", ":5", []string{"10m", "0.5"}},
		"a fraction that is none":  {keys + signIn + "refresh_before NaN", ":5", []string{"0.5"}},
		"a negative window":        {keys + signIn + "refresh_before -5m", ":5", []string{"must not be negative"}},
		"no window":                {keys + signIn + "refresh_before soon", ":5", []string{"soon"}},
		"window what":              {keys + signIn + "refresh_before", ":5", []string{"refresh_before"}},
		"an unknown unit":          {keys + signIn + "expires_in .e min", ":5", []string{`"min"`, "s, ms or at"}},
		"a foreign layout":         {keys + signIn + `timestamp "yyyy-MM-dd HH:mm:ss"`, ":5", []string{"2006-01-02 15:04:05"}},
		"an unknown zone":          {keys + signIn + `timestamp "2006-01-02" Asia/Shangri-La`, ":5", []string{"Asia/Shanghai", "+08:00"}},
		"a zone for Unix time":     {keys + signIn + "timestamp ms +08:00", ":5", []string{"no zone"}},
		"timestamp what":           {keys + signIn + "timestamp", ":5", []string{"timestamp"}},
		"three words of timestamp": {keys + signIn + "timestamp 2006-01-02 15:04:05 UTC", ":5", []string{"UTC", "quote"}},

		"no place":              {keys + signIn + "inject cookie sid", ":5", []string{"header, query, body or none"}},
		"inject what":           {keys + signIn + "inject", ":5", []string{"inject"}},
		"inject too much":       {keys + signIn + "inject header a b c", ":5", []string{"c"}},
		"a query without name":  {keys + signIn + "inject query", ":5", []string{"inject query access_token"}},
		"a body without name":   {keys + signIn + "inject body", ":5", []string{"inject body access_token"}},
		"a query's template":    {keys + signIn + "inject query a {token}", ":5", []string{"inject query a"}},
		"none with a name":      {keys + signIn + "inject none a", ":5", []string{"no name"}},
		"no header's name":      {keys + signIn + `inject header "a b"`, ":5", []string{`"a b"`}},
		"the connection's":      {keys + signIn + "inject header content-length", ":5", []string{"Content-Length"}},
		"no token in it":        {keys + signIn + `inject header a "Bearer token"`, ":5", []string{"{token}"}},
		"two tokens in it":      {keys + signIn + `inject header a "{token} {token}"`, ":5", []string{"{token} once"}},
		"a line break":          {keys + signIn + "inject header a `x\n{token}`", ":5", []string{"control character"}},
		"expired by what":       {keys + signIn + "token_expired", ":5", []string{"token_expired"}},
		"expired by success":    {keys + signIn + "token_expired 200", ":5", []string{"200", ".code == 40001"}},
		"expired beyond HTTP":   {keys + signIn + "token_expired 40001", ":5", []string{"40001"}},
		"expired twice":         {keys + signIn + "token_expired 401 401", ":5", []string{"twice"}},
		"expired, two programs": {keys + signIn + "token_expired .a .b", ":5", []string{".b", "last"}},
		"keep what":             {keys + signIn + "keep", ":5", []string{"keep"}},
		"keep without hosts":    {keys + signIn + "keep `{a: .a}`", ":5", []string{"hosts *.example.com"}},
		"keep, no host":         {keys + signIn + "keep `{a: .a}` hosts", ":5", []string{"hosts *.example.com"}},
		"keep, another word":    {keys + signIn + "keep `{a: .a}` host a.example", ":5", []string{"keep <jq> hosts HOST"}},
		"keep, any host":        {keys + signIn + "keep `{a: .a}` hosts *", ":5", []string{`"*"`}},
		"keep, any of a domain": {keys + signIn + "keep `{a: .a}` hosts *.com", ":5", []string{`"*.com"`}},
		"keep, a URL":           {keys + signIn + "keep `{a: .a}` hosts https://a.example", ":5", []string{"without scheme"}},
		"another transport":     {keys + signIn + "transport fastcgi", ":5", []string{"transport http"}},
		"a transport's fault":   {keys + signIn + "transport http {\nnothing\n}", ":6", []string{"nothing"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, test.body)
			if err == nil {
				t.Fatal("want an error")
			}
			for _, part := range append(test.want, "Testfile"+test.line) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q lacks %q", err, part)
				}
			}
		})
	}
}

func TestSourceNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"crm": true, "CRM-2.eu_west": true, strings.Repeat("a", 64): true,
		strings.Repeat("a", 65): false, "a/b": false, "-a": false, `"a b"`: false, "{env.X}": false, "客户": false, "": false,
	} {
		got, _, err := parseFile(t, "Testfile", "token "+name+" {\nstatic x\n}")
		if ok && (err != nil || got != name) {
			t.Errorf("%q: got %q, %v", name, got, err)
		}
		if !ok && err == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
	if _, _, err := parseFile(t, "Testfile", "token crm other {\nstatic x\n}"); err == nil {
		t.Error("two names are taken")
	}
}

func TestProgramFiles(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"sign.jq": "{app_key: $app_key, sign: ($app_key | twice)}",
		"lib.jq":  "def twice: . + .; # the end",
		"bad.jq":  "{\n  a: }",
	}
	for name := range maps.Keys(files) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(files[name]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const text = "token crm {\ndefine @lib.jq\ncredential app_key k\nobtain https://a.example {\njson @%\n}\n}"
	_, s, err := parseFile(t, filepath.Join(dir, "Caddyfile"), strings.ReplaceAll(text, "%", "sign.jq"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Obtain.JSON != files["sign.jq"] || s.Define != files["lib.jq"] {
		t.Errorf("inlined %q and %q", s.Obtain.JSON, s.Define)
	}
	_, _, err = parseFile(t, filepath.Join(dir, "Caddyfile"), strings.ReplaceAll(text, "%", "bad.jq"))
	if err == nil || !strings.Contains(err.Error(), "obtain json: bad.jq, line 2, column ") || !strings.Contains(err.Error(), "Caddyfile:5") {
		t.Errorf("the error names neither the file nor the place in it: %v", err)
	}
}

func TestDefinitionsFromAbove(t *testing.T) {
	const text = "token crm {\ndialect none\naccess_token .t\nobtain https://a.example {\nquery `{a: f}`\n}\n}"
	if _, _, err := parseFile(t, "Testfile", text); err == nil {
		t.Fatal("f is not defined")
	}
	tokens, err := caddyfile.Tokenize([]byte(text), "Testfile")
	if err != nil {
		t.Fatal(err)
	}
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	program.SetDefine(d, "def f: 1;")
	_, s, err := ParseSource(d)
	if err != nil {
		t.Fatal(err)
	}
	if s.Define != "" {
		t.Errorf("the app's definitions became the source's: %q", s.Define)
	}
}

func TestSeveralSourcesInABlock(t *testing.T) {
	d := caddyfile.NewTestDispenser("switchboard {\ntoken a {\nstatic x\n}\ntoken b {\ncredential k {\n}\nx y\n}")
	d.Next()
	var names []string
	for d.NextBlock(0) {
		name, _, err := ParseSource(d)
		names = append(names, name)
		if err != nil {
			break
		}
	}
	if !slices.Equal(names, []string{"a", ""}) {
		t.Errorf("read %q", names)
	}
}

func FuzzParseSource(f *testing.F) {
	f.Add(keys + signIn)
	f.Add(none + "keep `{a: .b}` hosts *.example.com\ninject query t\nrefresh_before 0.5")
	f.Add("dialect oauth2_code\ncredential client_id i\ncredential client_secret s\nauthorize https://x {\nquery `{a: $scope}`\nredirect http://localhost\n}\nobtain https://x\nrefresh https://x")
	f.Add("static {env.X}\ntoken_expired 401 `.a`\nwarm on")
	f.Add("credential a b\ntransport http {\ntls\n}\nobtain GET https://x {\nquery {}\n}")
	f.Fuzz(func(t *testing.T, body string) {
		tokens, err := caddyfile.Tokenize([]byte("token x {\n"+body+"\n}"), "Testfile")
		if err != nil || strings.Contains(body, ".jq") {
			return // no files
		}
		d := caddyfile.NewDispenser(tokens)
		d.Next()
		_, s, err := ParseSource(d)
		if err != nil {
			return
		}
		// what a Caddyfile gives is what JSON gives
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var again Source
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		if _, err := again.newPlan(""); err != nil {
			t.Errorf("JSON is refused: %v", err)
		}
	})
}
