package jq

import (
	"strings"
	"sync"

	"github.com/itchyny/gojq"
)

// preludeText defines builtins that take functions, or that guard one of gojq's.
// Here _name is ours: a native, or a definition above it. A plain name and an
// operator are gojq's. A definition is called under inner(name), so that it
// does not call itself when it names gojq's builtin.
const preludeText = `
def add: _sum | add | _post;
def add(f): [f] | _add;
def map(f): [_iter[] | f];
def any(f): isempty(_iter[] | select(f)) | not;
def all(f): isempty(_iter[] | select(f | not));

def assign(p; $x): _edit as $e | reduce path(p) as $q ($e; _put($q; $x)) | _done;
def modify(p; f): _edit as $e
  | reduce path(p) as $q ($e; label $out | ((_get($q) | f) as $v | _put($q; $v), break $out), _drop($q)) | _done;
def map_values(f): _modify(.[]; f);
def walk(f): def w: if type == "object" then _map_values(w) elif type == "array" then _map(w) else . end | f; w;
def del(f): _delpaths([path(f)]);
def pick(f): . as $v | (null | _edit) as $e | reduce path(f) as $q ($e; _put($q; $v | getpath($q))) | _done;
def fromstream(f):
  foreach f as $event (null;
    (if .whole then null else .v end) as $v
    | if $event | length == 2
      then {v: ($v | _setpath([] + $event[0]; $event[1])), whole: ($event[0] | length == 0)}
      else {v: $v, whole: ($event[0] | length == 1)} end;
    if .whole then .v else empty end);

def split($sep): _over($sep) | split($sep);
def join($sep): _joined($sep) | join($sep) | _post;
def explode: _chars | explode;
def tonumber: _digits | tonumber;
def strftime(f): strftime(f | _layout);
def strflocaltime(f): strflocaltime(f | _layout);
def flatten: _tree | flatten | _post;
def flatten($depth): _tree | flatten($depth) | _post;
def transpose: _grid | transpose;
def combinations: if length == 0 then [] else (.[0] | _iter)[] as $x | [$x] + (.[1:] | _combinations) end;
def combinations(n): [limit(n; repeat(.))] | _combinations;

def sort_by(f): _order(_map([f]));
def group_by(f): _groups(_map([f]));
def unique_by(f): _group_by(f) | map(.[0]);
def min_by(f): _least(_map([f]));
def max_by(f): _greatest(_map([f]));
def sort: _order(.);
def unique: _groups(.) | map(.[0]);
def min: _least(.);
def max: _greatest(.);

def IN(s): any(_equal(s; .); .);
def IN(src; s): any(_equal(src; s); .);
def INDEX(stream; f): [stream as $row | {key: ($row | f | _tostring), value: $row}] | from_entries;
def INDEX(f): _INDEX(_iter[]; f);
def JOIN($index; f): [_iter[] | [., $index[f | _subscript]]];
def JOIN($index; stream; f): stream | [., $index[f | _subscript]];
def JOIN($index; stream; f; g): _JOIN($index; stream; f) | g;

def html: _plain | _tohtml | _post;
def uri: _plain | _touri | _post;
def urid: _plain | _tourid | _post;
def csv: _sum | _tocsv | _post;
def tsv: _sum | _totsv | _post;
def sh: _sum | _tosh | _post;
def base64: _plain | _tobase64 | _post;
def base64d: _plain | _tobase64d | _post;
`

// prelude holds the definitions by name and arity, and their order, once
// loadPrelude has run.
var prelude struct {
	once  sync.Once
	units map[string]*unit
	order []*unit
}

func loadPrelude() {
	query, err := gojq.Parse(preludeText + ".")
	if err != nil {
		panic(err) // it is our own text
	}
	prelude.units = make(map[string]*unit, len(query.FuncDefs))
	for _, def := range query.FuncDefs {
		u := newUnit(def)
		prelude.units[arity(def.Name, len(def.Args))] = u // its body may call it
		def.Name = inner(def.Name)
		w := &rewriter{unit: u, trusted: true}
		w.define(def)
		prelude.order = append(prelude.order, u)
	}
}

// formats are the known @names, each with what it compiles to.
var formats = map[string]string{
	"@text": "tostring", "@json": "tojson", "@html": "html", "@uri": "uri", "@urid": "urid", "@csv": "csv",
	"@tsv": "tsv", "@sh": "sh", "@base64": "base64", "@base64d": "base64d",
}

// ours gives the name of a call in preludeText that is ours.
func ours(name string) (string, bool) {
	if strings.HasPrefix(name, "_to") && name != "_tostring" { // gojq's formats
		return name, false
	}
	return strings.CutPrefix(name, "_")
}
