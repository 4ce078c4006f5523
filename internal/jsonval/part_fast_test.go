//go:build !noswitchboardfast

package jsonval

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// whole is the part that is all of the members of these names.
func whole(names ...string) *Part {
	p := new(Part)
	for _, name := range names {
		p.Member(name).Whole = true
	}
	return p
}

// Each document is reserved before it is decoded, and only what is kept of it.
func TestDecodeReserves(t *testing.T) {
	ownMemory(t)
	doc := []byte(fill(mib, `{"name":"x","z":[`, `{"a":0}`, `]}`))
	for _, tc := range []struct {
		name     string
		decode   func(l Limits) (any, error)
		purpose  Purpose
		from, to int64
		want     error
	}{
		{"all of it", func(l Limits) (any, error) { return Decode(doc, l) }, ForAnswer, 40 * mib, 70 * mib, nil},
		{"the large part", func(l Limits) (any, error) { return DecodePart(doc, l, whole("z")) }, ForAnswer, 40 * mib, 70 * mib, nil},
		{"the small part", func(l Limits) (any, error) { return DecodePart(doc, l, whole("name")) }, ForAnswer, 0, 0, nil},
		{"of a caller", func(l Limits) (any, error) { return Decode(doc, l) }, ForRequest, 0, 0, ErrTooMuch},
	} {
		room := &Room{Context: t.Context()}
		_, err := tc.decode(Limits{Bytes: len(doc), Room: room, Purpose: tc.purpose})
		var n int64
		if room.taken != nil {
			n = room.taken.held[tc.purpose] + room.taken.last
		}
		if !errors.Is(err, tc.want) || n < tc.from || n > tc.to {
			t.Errorf("%s: %v, %d bytes are reserved, want %d to %d", tc.name, err, n, tc.from, tc.to)
		}
		room.Release()
	}
}

// Decoding went on when the budget had ended.
func TestDecodeEndsWithTheContext(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	many := []byte(fill(mib, `{"z":[`, `0`, `]}`))
	for _, tc := range []struct {
		name string
		doc  []byte
		part *Part
		want error
	}{
		{"many values", many, nil, ErrDeadline},
		{"many values that nobody looks at", many, whole("name"), ErrDeadline},
		{"many values of a part", many, whole("z"), ErrDeadline},
		{"few values", []byte(`{"z":[` + strings.Repeat("0,", 1000) + `0]}`), nil, nil},
	} {
		room := &Room{Context: ended}
		if _, err := DecodePart(tc.doc, Limits{Bytes: len(tc.doc), Room: room}, tc.part); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		room.Release()
	}
}

// What is kept of a document doesn't change with the buffer that it was in.
func TestDecodePartKeepsNothingOfTheBuffer(t *testing.T) {
	buffer := []byte(`{"a":{"x":"one","y":1.10},"b":["two",{"k":"three"}],"c":"f\u00fcnf","d":"six"}`)
	p := whole("b", "c", "e")
	p.Member("a").Member("x").Whole = true
	p.Member("a").Member("y").Whole = true
	v, err := DecodePart(buffer, Limits{}, p)
	if err != nil {
		t.Fatal(err)
	}
	for i := range buffer {
		buffer[i] = '#'
	}
	got, _ := Encode(nil, v, Limits{})
	if want := `{"a":{"x":"one","y":1.10},"b":["two",{"k":"three"}],"c":"fünf"}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDecodePart(t *testing.T) {
	p := whole("b")
	p.Member("a").Member("x").Whole = true
	for _, tc := range []struct{ in, want string }{
		{`{"a":{"x":1,"y":[1,{"z":"\u00e9\n"}]},"b":[true],"c":{"d":[]}}`, `{"a":{"x":1},"b":[true]}`},
		{`{"a":[1,2],"b":null}`, `{"a":[null],"b":null}`},
		{`{"a":[],"b":null}`, `{"a":[],"b":null}`},
		{`{"a":{"y":1},"b":null}`, `{"a":{"":null},"b":null}`},
		{`{"a":{},"b":null}`, `{"a":{},"b":null}`},
		{`{"c":1}`, `{"":null}`},
		{`{}`, `{}`},
		{`{"a":7,"a":{"x":2}}`, `{"a":{"x":2}}`},
		{`[1,{"x":2}]`, `[null]`},
		{`"x"`, `"x"`},
		{`1.10`, `1.10`},
	} {
		v, err := DecodePart([]byte(tc.in), Limits{}, p)
		if err != nil {
			t.Errorf("%s: %v", tc.in, err)
			continue
		}
		if got, _ := Encode(nil, v, Limits{}); string(got) != tc.want {
			t.Errorf("%s: got %s, want %s", tc.in, got, tc.want)
		}
	}
}

func BenchmarkDecodePart(b *testing.B) {
	doc := []byte(`{"code":"000000","data":{"orderId":9007199254740993,"amount":1.10,"status":"shipped","nick":"Ann","isVip":"1",` +
		`"items":[{"sku":"A-1001","title":"wireless headset","price":0.60,"tags":["audio","new"]},{"sku":"B-2002","title":"cable"}],` +
		`"history":[{"at":1656143373000,"event":"created"},{"at":1656146973000,"event":"paid"}]}}`)
	part := whole("code")
	part.Member("data").Member("nick").Whole = true
	part.Member("data").Member("isVip").Whole = true
	for name, p := range map[string]*Part{"whole": nil, "part": part} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodePart(doc, Limits{}, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
