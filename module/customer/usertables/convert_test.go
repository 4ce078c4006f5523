package usertables

import (
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// Each column's type becomes what jq knows, and keeps its digits.
func TestColumns(t *testing.T) {
	all := places(t)
	all[2].exec(t, "CREATE TABLE times (d DATE, t DATETIME)", "INSERT INTO times VALUES ('2026-01-02', '2026-01-02 03:04:05')")
	for i, columns := range [][][2]string{
		{
			{"true", "true"},
			{"1::int2", "1"},
			{"2::int4", "2"},
			{"9007199254740993::int8", "9007199254740993"},
			{"7::oid", "7"},
			{"1.1::float4", "1.1"},
			{"1.5::float8", "1.5"},
			{"'NaN'::float8", "null"},
			{"'Infinity'::float4", "null"},
			{"12345678901234567890.10::numeric", "12345678901234567890.10"},
			{"'NaN'::numeric", "null"},
			{"1e70::numeric", `"1` + strings.Repeat("0", 70) + `"`},
			{"'a'::text", `"a"`},
			{"'a'::varchar(3)", `"a"`},
			{"'a'::char(3)", `"a  "`},
			{"'a'::name", `"a"`},
			{`'a'::"char"`, `"a"`},
			{"'\\x00ff'::bytea", `"AP8="`},
			{"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`},
			{"'2026-01-02'::date", `"2026-01-02"`},
			{"'2026-01-02 03:04:05.6'::timestamp", `"2026-01-02T03:04:05.6Z"`},
			{"'2026-01-02 03:04:05+08'::timestamptz", `"2026-01-01T19:04:05Z"`},
			{"'infinity'::timestamptz", `"infinity"`},
			{"'03:04:05'::time", `"03:04:05"`},
			{"'1 day'::interval", `"1 day"`},
			{`'{"n":9007199254740993}'::json`, `{"n":9007199254740993}`},
			{`'{"n":1.10}'::jsonb`, `{"n":1.10}`},
			{"'null'::jsonb", "null"},
			{"'10.0.0.1'::inet", `"10.0.0.1"`},
			{"'10.0.0.0/8'::cidr", `"10.0.0.0/8"`},
			{"'08:00:2b:01:02:03'::macaddr", `"08:00:2b:01:02:03"`},
			{"'(1,2)'::point", `"(1,2)"`},
			{"'[1,5)'::int4range", `"[1,5)"`},
			{"'101'::varbit", `"101"`},
			{"'a b'::tsvector", `"'a' 'b'"`},
			{"'1.50'::money", `"$1.50"`},
			{"'<a/>'::xml", `"<a/>"`},
			{"array[1,null,3]", "[1,null,3]"},
			{"array['a','b c']", `["a","b c"]`},
			{"array[9007199254740993]", "[9007199254740993]"},
			{"array['2026-01-02'::date]", `["2026-01-02"]`},
			{`array['{"n":9007199254740993}'::jsonb]`, `[{"n":9007199254740993}]`},
			{"array[1.10::numeric]", "[1.10]"},
			{"array[true]", "[true]"},
			{"null::text", "null"},
		},
		{
			{"TRUE", "1"},
			{"CAST(18446744073709551615 AS UNSIGNED)", "18446744073709551615"},
			{"CAST(-5 AS SIGNED)", "-5"},
			{"9007199254740993", "9007199254740993"},
			{"CAST('1.10' AS DECIMAL(10,2))", "1.10"},
			{"CAST(1.5 AS DOUBLE)", "1.5"},
			{"CAST(1.1 AS FLOAT)", "1.1"},
			{"'ä'", `"ä"`},
			{"CAST('a' AS BINARY)", `"YQ=="`},
			{"b'101'", "5|\"BQ==\""},
			{"CAST('2026-01-02' AS DATE)", `"2026-01-02"`},
			{"CAST('2026-01-02 03:04:05' AS DATETIME)", `"2026-01-02T03:04:05Z"`},
			{"CAST('2026-01-02 03:04:05.6' AS DATETIME(1))", `"2026-01-02T03:04:05.6Z"`},
			{"CAST('03:04:05' AS TIME)", `"03:04:05"`},
			{"NULL", "null"},
			{"REPEAT('a', 3)", `"aaa"`},
			{"JSON_OBJECT('a', 1)", `"{\"a\": 1}"`},
		},
		{
			{"9007199254740993", "9007199254740993"}, {"1.5", "1.5"}, {"9e999", "null"}, {"'a'", `"a"`}, {"x'00ff'", `"AP8="`}, {"null", "null"}, {"json_array(1)", `"[1]"`},
		},
	} {
		s := all[i].open(t, byContacts).(*store)
		for _, c := range columns {
			rows, err := s.query(t.Context(), "SELECT "+c[0]+" AS v", 1)
			if err != nil || len(rows) != 1 {
				t.Errorf("%v: %s: %v", all[i].kind, c[0], err)
				continue
			}
			got, err := jsonval.Encode(nil, rows[0]["v"], jsonval.Limits{})
			if want := strings.Split(c[1], "|"); err != nil || string(got) != want[0] && string(got) != want[len(want)-1] {
				t.Errorf("%v: %s is %s (%T), not %s; %v", all[i].kind, c[0], got, rows[0]["v"], c[1], err)
			}
		}
	}
	rows, err := all[2].open(t, byContacts).(*store).query(t.Context(), "SELECT * FROM times", 1)
	if err != nil || rows[0]["d"] != "2026-01-02" || rows[0]["t"] != "2026-01-02T03:04:05Z" {
		t.Errorf("sqlite: %v, %v", rows, err)
	}
}
