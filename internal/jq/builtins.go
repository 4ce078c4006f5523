package jq

import (
	"strconv"
	"strings"
)

// kinds is a set of types that a value can have.
type kinds uint8

const (
	kNull kinds = 1 << iota
	kBool
	kNumber
	kString
	kArray
	kObject

	kNone kinds = 0 // yields nothing: empty, error
	kAny        = kNull | kBool | kNumber | kString | kArray | kObject
)

// treatment is what becomes of a call.
type treatment uint8

const (
	unknown   treatment = iota
	plainly             // gojq's own, which takes time in proportion to its values
	posted              // gojq's own, with its result looked at by post
	natively            // one of natives
	defined             // a definition of prelude.go
	specially           // see rewriter.special
	refused             // off, and said so
)

// A builtin is a function that every program can call.
type builtin struct {
	how    treatment
	yields kinds
}

// builtins holds them by name and arity, as in "split/1". What gojq has beyond
// them does not exist: jn and yn take time in proportion to a number.
var builtins = func() map[string]builtin {
	table := map[string]builtin{}
	add := func(how treatment, yields kinds, names string) {
		for name := range strings.FieldsSeq(names) {
			table[name] = builtin{how, yields}
		}
	}

	add(plainly, kNone, "empty/0 error/0 error/1 halt/0 halt_error/0 halt_error/1")
	add(plainly, kBool, `not/0 has/1 in/1 toboolean/0 startswith/1 endswith/1 isempty/1 any/0 any/2 all/0 all/2
		isfinite/0 isinfinite/0 isnan/0 isnormal/0`)
	add(plainly, kNumber, `length/0 utf8bytelength/0 abs/0 now/0 mktime/0 fromdate/0 fromdateiso8601/0 infinite/0 nan/0
		range/1 range/2 range/3
		sin/0 cos/0 tan/0 asin/0 acos/0 atan/0 sinh/0 cosh/0 tanh/0 asinh/0 acosh/0 atanh/0
		floor/0 round/0 nearbyint/0 rint/0 ceil/0 trunc/0 significand/0 fabs/0 sqrt/0 cbrt/0
		exp/0 exp10/0 exp2/0 expm1/0 log/0 log10/0 log1p/0 log2/0 logb/0 gamma/0 tgamma/0 lgamma/0
		erf/0 erfc/0 j0/0 j1/0 y0/0 y1/0 atan2/2 copysign/2 drem/2 fdim/2 fmax/2 fmin/2 fmod/2 hypot/2
		nextafter/2 nexttoward/2 remainder/2 ldexp/2 scalb/2 scalbln/2 pow/2 fma/3`)
	add(plainly, kString, `type/0 ltrimstr/1 rtrimstr/1 trimstr/1 ltrim/0 rtrim/0 trim/0
		todate/0 todateiso8601/0`)
	add(plainly, kArray, "frexp/0 modf/0 gmtime/0 localtime/0 strptime/1 to_entries/0 path/1 paths/0 paths/1 tostream/0")
	add(plainly, kObject, "with_entries/1")
	add(plainly, kObject, "from_entries/0")
	add(plainly, kArray, "arrays/0")
	add(plainly, kBool, "booleans/0")
	add(plainly, kNull, "nulls/0")
	add(plainly, kNumber, "numbers/0 finites/0 normals/0")
	add(plainly, kObject, "objects/0")
	add(plainly, kString, "strings/0")
	add(plainly, kArray|kObject, "iterables/0")
	add(plainly, kAny, `select/1 scalars/0 values/0 recurse/0 recurse/1 recurse/2 while/2 until/2 repeat/1
		first/0 first/1 last/0 last/1 limit/2 skip/2 nth/1 nth/2 truncate_stream/1`)

	add(posted, kArray, "keys/0 reverse/0")
	add(posted, kString, "implode/0 ascii_downcase/0 ascii_upcase/0")

	add(natively, kString, `md5/0 sha1/0 sha256/0 sha512/0 hmac/2 hmac/3 hmac/4 digest/2 sign/3 jwt/2 jwt/3 hex/0 unhex/0 base64url/0 urlencode/0 uuid/0 mask/0
		date/2 tostring/0 tojson/0`)
	add(natively, kString|kNull, "e164/1")
	add(natively, kObject, "flat/0")
	add(natively, kAny, "fromjson/0 setpath/2 delpaths/1")
	add(natively, kArray|kNull, "indices/1")
	add(natively, kNumber|kNull, "index/1 rindex/1")
	add(natively, kNumber, "bsearch/1")
	add(natively, kBool, "contains/1 inside/1 blank/0")

	add(defined, kAny, `add/0 add/1 map_values/1 walk/1 del/1 pick/1 fromstream/1 min/0 max/0 min_by/1 max_by/1 JOIN/4`)
	add(defined, kArray, `map/1 flatten/0 flatten/1 transpose/0 combinations/0 combinations/1 sort/0 sort_by/1 group_by/1 unique/0 unique_by/1 split/1 explode/0
		JOIN/2 JOIN/3`)
	add(defined, kBool, "any/1 all/1 IN/1 IN/2")
	add(defined, kNumber, "tonumber/0")
	add(defined, kString, "join/1 strftime/1 strflocaltime/1")
	add(defined, kObject, "INDEX/1 INDEX/2")

	add(specially, kAny, "getpath/1")
	add(specially, kString, "format/1 sub/2 sub/3 gsub/2 gsub/3 splits/1 splits/2")
	add(specially, kBool, "test/1 test/2")
	add(specially, kObject, "match/1 match/2 capture/1 capture/2")
	add(specially, kString|kArray, "scan/1 scan/2")
	add(specially, kArray, "split/2")

	add(refused, kNone, `env/0 input/0 inputs/0 input_filename/0 input_line_number/0 debug/0 debug/1 stderr/0
		builtins/0 modulemeta/0 get_search_list/0 jn/2 yn/2`)
	return table
}()

// A native is a function of ours that gojq calls with the run that it is in.
type native struct {
	args, most int // arities; most is args when it is less
	call       func(r *run, v any, args []any) any
	valid      []func(string) fault // of arguments that are strings, for literals
}

// natives holds them by name. A program can call those that builtins names; the
// others stand in rewritten programs and in prelude.go.
var natives map[string]native

func init() {
	natives = map[string]native{
		"post": {call: post}, "iter": {call: iter}, "subscript": {call: subscript}, "steps": {call: steps},
		"times": {args: 1, call: times}, "minus": {args: 1, call: minus}, "over": {args: 1, call: over},
		"sum": {call: sum}, "grid": {call: grid}, "digits": {call: digits}, "layout": {call: layout},
		"tree": {call: checked},

		"equal":    comparison(func(c int) bool { return c == 0 }),
		"unequal":  comparison(func(c int) bool { return c != 0 }),
		"less":     comparison(func(c int) bool { return c < 0 }),
		"greater":  comparison(func(c int) bool { return c > 0 }),
		"atmost":   comparison(func(c int) bool { return c <= 0 }),
		"atleast":  comparison(func(c int) bool { return c >= 0 }),
		"order":    {args: 1, call: order},
		"groups":   {args: 1, call: groups},
		"least":    {args: 1, call: extreme(1)},
		"greatest": {args: 1, call: extreme(-1)},
		"bsearch":  {args: 1, call: bsearch},
		"contains": {args: 1, call: contains},
		"inside":   {args: 1, call: inside},

		"concat": {args: 1, most: maxParts, call: concat}, "plain": {call: plain}, "key": {call: key},
		"tostring": {call: tostring}, "tojson": {call: tojson}, "fromjson": {call: fromjson},
		"joined": {args: 1, call: joined}, "chars": {call: chars},
		"indices": {args: 1, call: indices}, "index": {args: 1, call: index}, "rindex": {args: 1, call: rindex},

		"edit": {call: edit}, "get": {args: 1, call: get}, "put": {args: 2, call: put},
		"drop": {args: 1, call: drop}, "done": {call: done},
		"setpath": {args: 2, call: setpath}, "delpaths": {args: 1, call: delpaths},

		"test": {args: 1, call: test}, "match": onMatches(false, match), "capture": onMatches(false, capture),
		"scan": onMatches(true, scan), "splits": onMatches(true, splits), "sub": onMatches(false, sub),
		"splice": {args: 2, call: splice},

		"md5": digestOf("md5"), "sha1": digestOf("sha1"), "sha256": digestOf("sha256"), "sha512": digestOf("sha512"),
		"digest": onTexts("digest needs a string, and strings for its algorithm and encoding", 2, 2, digest, digestHash, encoding),
		"hmac":   onTexts("hmac needs a string, and a string for its key", 2, 4, mac, macHash, nil, keyEncoding, encoding),
		"sign":   onTexts("sign needs a string, and strings for its algorithm, key and encoding", 3, 3, signature, signing, nil, encoding),
		"jwt":    {args: 2, most: 3, call: jwt, valid: []func(string) fault{tokenSigning}},
		"hex":    onText("hex", hexText), "unhex": onText("unhex", unhex), "base64url": onText("base64url", base64url),
		"urlencode": {call: urlencode}, "uuid": {call: uuid}, "mask": {call: mask}, "flat": {call: flat},
		"blank": {call: blank}, "e164": {args: 1, call: e164}, "date": {args: 2, call: date, valid: []func(string) fault{timeLayout, zone}},
	}
}

// maxParts is how many parts of an interpolated string are put together at
// once: gojq allows a function 30 arguments.
const maxParts = 30

// arity names a function as builtins does.
func arity(name string, args int) string { return name + "/" + strconv.Itoa(args) }

// inner is a function's name within rewritten programs. No program can spell it,
// so no definition of a program can take its place.
func inner(name string) string { return "%" + name }
