package exchange

import "testing"

// What a spreadsheet would run is not a formula any more, and comes back as it
// was.
func TestFormulas(t *testing.T) {
	for value, want := range map[string]string{
		"":                      "",
		"张三":                    "张三",
		"O'Neill":               "O'Neill",
		"'":                     "'",
		"'quoted'":              "'quoted'",
		"=cmd|'/c calc'!A0":     "'=cmd|'/c calc'!A0",
		"+8613800138000":        "'+8613800138000",
		"-1+1":                  "'-1+1",
		"@SUM(A1)":              "'@SUM(A1)",
		"\t=1":                  "'\t=1",
		"\r=1":                  "'\r=1",
		"\n=1":                  "'\n=1",
		"＝1+1":                  "'＝1+1",
		"＋1":                    "'＋1",
		"－1":                    "'－1",
		"＠1":                    "'＠1",
		"'=1":                   "''=1",
		"''+1":                  "'''+1",
		"1=1":                   "1=1",
		" =1":                   " =1",
		"Robert'); DROP TABLE;": "Robert'); DROP TABLE;",
	} {
		got := defuse(value)
		if got != want {
			t.Errorf("%q is written %q, want %q", value, got, want)
		}
		if back := undefuse(got); back != value {
			t.Errorf("%q comes back as %q", value, back)
		}
	}
}

func FuzzFormula(f *testing.F) {
	for _, s := range []string{"", "'", "'=", "''+", "＝", "\xef\xbc", "'\xef"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		safe := defuse(s)
		if active(safe) {
			t.Errorf("%q is still a formula", safe)
		}
		if undefuse(safe) != s {
			t.Errorf("%q became %q", s, undefuse(safe))
		}
	})
}
