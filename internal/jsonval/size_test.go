package jsonval

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

const customer = `{"id":12345,"name":"Zhang Wei","email":"zhang.wei@example.com","tel":"+8613800138000","vip":true,` +
	`"tags":["a","b","c"],"balance":1234.50,"note":null,"address":{"city":"Shanghai","zip":"200000","street":"Nanjing Road 1"}}`

// fill repeats an element to a document of about n bytes.
func fill(n int, before, element, after string) string {
	return before + strings.Repeat(element+",", max(0, n/(len(element)+1)-1)) + element + after
}

func objectOf(n int) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%x":0`, i)
	}
	b.WriteByte('}')
	return b.String()
}

// shapes are documents of about n bytes that take much more memory than that.
func shapes(n int) map[string]string {
	return map[string]string{
		"objects in objects":     fill(n, `{"z":[`, `{"a":{"b":{"c":0}}}`, `]}`),
		"objects without names":  fill(n, `[`, strings.Repeat(`{"":`, 50)+`0`+strings.Repeat(`}`, 50), `]`),
		"very deep":              fill(n, `[`, strings.Repeat(`{"":`, 900)+`0`+strings.Repeat(`}`, 900), `]`),
		"empty arrays":           fill(n, `[`, `[]`, `]`),
		"arrays of one":          fill(n, `[`, `[0]`, `]`),
		"nested arrays":          fill(n, `[`, `[[[[[[0]]]]]]`, `]`),
		"empty objects":          fill(n, `[`, `{}`, `]`),
		"objects of one":         fill(n, `[`, `{"a":0}`, `]`),
		"objects of nine":        fill(n, `[`, objectOf(9), `]`),
		"objects of fifteen":     fill(n, `[`, objectOf(15), `]`),
		"objects of 897":         fill(n, `[`, objectOf(897), `]`),
		"one large object":       objectOf(n / 9),
		"one name, many times":   fill(n, `{`, `"":0`, `}`),
		"numbers":                fill(n, `[`, `0`, `]`),
		"long numbers":           fill(n, `[`, strings.Repeat("1", 60), `]`),
		"nulls":                  fill(n, `[`, `null`, `]`),
		"empty strings":          fill(n, `[`, `""`, `]`),
		"short strings":          fill(n, `[`, `"a"`, `]`),
		"escaped strings":        fill(n, `[`, `"\n"`, `]`),
		"strings that end early": fill(n, `[`, `"`+strings.Repeat("a", 100)+`\n"`, `]`),
		"a long string":          `["` + strings.Repeat("a", n) + `"]`,
		"a long escaped string":  `["` + strings.Repeat(`\n`, n/2) + `"]`,
		"escaped names":          fill(n, `[`, `{"\n":0}`, `]`),
		"rows":                   fill(n, `{"data":[`, customer, `]}`),
		"blanks":                 "[" + strings.Repeat(" ", n) + "]",
		"no document":            strings.Repeat("[", n),
		"cut off":                fill(n, `[`, `{"a":{"b":0}}`, ``),
		"a page":                 "<html><style>" + strings.Repeat("p{a:0}", n/6),
	}
}

var kept any

// decoding measures how much memory is allocated, and how much of it is kept: the
// least of a few times, because the runtime allocates now and then, too.
func decoding(t *testing.T, doc string) (allocated, keeps int64) {
	t.Helper()
	allocated, keeps = decodingOnce(t, doc)
	for range 2 {
		if allocated > 1<<20 {
			break // a little more doesn't matter
		}
		a, k := decodingOnce(t, doc)
		allocated, keeps = min(allocated, a), min(keeps, k)
	}
	return allocated, keeps
}

func decodingOnce(t *testing.T, doc string) (allocated, keeps int64) {
	t.Helper()
	data := []byte(doc)
	var before, after runtime.MemStats
	kept = nil
	runtime.GC()
	runtime.ReadMemStats(&before)
	v, err := Decode(data, Limits{Bytes: len(data), Nodes: len(data) + 1})
	kept = v
	runtime.ReadMemStats(&after)
	allocated = int64(after.TotalAlloc - before.TotalAlloc)
	if err == nil {
		runtime.GC()
		runtime.ReadMemStats(&after)
		keeps = int64(after.HeapAlloc) - int64(before.HeapAlloc)
	}
	runtime.KeepAlive(data)
	kept = nil
	return allocated, keeps
}

// What is reserved for a document was its bytes times 50, whatever was in it: too
// much for rows, too little for objects without names.
func TestDecodedSize(t *testing.T) { // not parallel: it measures memory
	for _, n := range []int{5 << 10, 256 << 10} {
		for name, doc := range shapes(n) {
			estimate := decodedSize(doc) + int64(len(doc))
			allocated, keeps := decoding(t, doc)
			t.Logf("%-24s %9d bytes: %6.1f estimated, %6.1f allocated, %6.1f kept for each", name, len(doc),
				float64(estimate)/float64(len(doc)), float64(allocated)/float64(len(doc)), float64(keeps)/float64(len(doc)))
			if estimate < allocated/2-2048 { // the runtime allocates a little, too
				t.Errorf("%s of %d bytes: %d are estimated, %d were allocated", name, len(doc), estimate, allocated)
			}
			if estimate+8192+2048 < keeps {
				t.Errorf("%s of %d bytes: %d are estimated, %d are kept", name, len(doc), estimate, keeps)
			}
			if keeps > 0 && estimate > 2*allocated+int64(len(doc)) {
				t.Errorf("%s of %d bytes: %d are estimated, only %d were allocated", name, len(doc), estimate, allocated)
			}
		}
	}
}

// generate writes a random value, of about n bytes.
func generate(r *rand.Rand, b *strings.Builder, n, depth int) {
	n = max(n, 1)
	kind := r.IntN(8)
	if depth > 60 || n < 3 {
		kind = r.IntN(5)
	}
	end := b.Len() + n
	switch kind {
	case 0:
		b.WriteString(strconv.Itoa(r.IntN(1 << r.IntN(30))))
	case 1:
		b.WriteString([]string{"null", "true", "false"}[r.IntN(3)])
	case 2, 3:
		b.WriteString(`"` + strings.Repeat("a", r.IntN(1+min(n, 1<<r.IntN(10)))) + `"`)
	case 4:
		b.WriteString(`"` + strings.Repeat(`\u00e9x`, r.IntN(1+min(n/7, 1<<r.IntN(8)))) + `"`)
	case 5, 6:
		b.WriteByte('[')
		for share := 1 + r.IntN(n); ; b.WriteByte(',') {
			generate(r, b, min(share, end-b.Len()), depth+1)
			if b.Len() >= end {
				break
			}
		}
		b.WriteByte(']')
	default:
		b.WriteByte('{')
		names := 1 << r.IntN(12)
		for share := 1 + r.IntN(n); ; b.WriteByte(',') {
			fmt.Fprintf(b, `"%x":`, r.IntN(names))
			generate(r, b, min(share, end-b.Len()), depth+1)
			if b.Len() >= end {
				break
			}
		}
		b.WriteByte('}')
	}
}

func TestDecodedSizeOfAnything(t *testing.T) { // not parallel: it measures memory
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var b strings.Builder
		b.WriteByte('[')
		generate(r, &b, 1000<<r.IntN(9), 0)
		b.WriteByte(']')
		doc := b.String()
		estimate := decodedSize(doc) + int64(len(doc))
		allocated, _ := decoding(t, doc)
		if estimate < allocated/2-2048 {
			t.Errorf("seed %d, %d bytes: %d are estimated, %d were allocated", seed, len(doc), estimate, allocated)
		}
	}
}

// FuzzDecodedSize looks at any text: the estimate is never negative, and never less
// than half of what decoding takes.
func FuzzDecodedSize(f *testing.F) {
	for _, doc := range shapes(300) {
		f.Add(doc)
	}
	f.Add(`"\`)
	f.Add(`]]}}{"a":}`)
	f.Add(`{"a":"\\\"","b":[1,2`)
	f.Fuzz(func(t *testing.T, doc string) {
		if len(doc) > 1<<16 {
			return
		}
		doc = strings.Repeat(doc, 1+(8<<10)/(len(doc)+1)) // so that little things count
		for _, doc := range []string{doc, "[" + doc + "]", `{"a":` + doc + `}`} {
			estimate := decodedSize(doc) + int64(len(doc))
			if estimate < int64(len(doc)) {
				t.Fatalf("%d are estimated", estimate)
			}
			if allocated, _ := decoding(t, doc); estimate < allocated/2-2048 {
				t.Fatalf("%d are estimated, %d were allocated", estimate, allocated)
			}
		}
	})
}
