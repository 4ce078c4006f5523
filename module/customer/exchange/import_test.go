package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/integration/customers"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

// sample is a file with good and bad rows in turn.
func sample(t *testing.T, format Format) string {
	t.Helper()
	var b strings.Builder
	if format == CSV {
		b.WriteString("id,tel,nick\n")
	}
	for i := range 20 {
		switch {
		case i%5 == 3 && format == CSV:
			fmt.Fprintf(&b, ",%d,\"=bad\nrow\"\n", i)
		case i%5 == 3:
			fmt.Fprintf(&b, `{"tel":%d,"nick":"bad"}`+"\n", i)
		case format == CSV:
			fmt.Fprintf(&b, "C%02d,%d,\"a\nb\"\n", i, i)
		default:
			fmt.Fprintf(&b, `{"id":"C%02d","tel":%d}`+"\n", i, i)
		}
	}
	file := filepath.Join(t.TempDir(), "customers."+string(format))
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func importFile(t *testing.T, m *memory, file string) (Result, *Rejects, error) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	src, err := FromFile(f)
	if err != nil {
		t.Fatal(err)
	}
	rejects := &Rejects{Name: file}
	i := Importer{Store: m, Batch: 3, Rejects: rejects, Progress: func(p Progress) {
		if p.Bytes > p.Size || p.Size != src.Size {
			t.Errorf("%+v of %d bytes", p, src.Size)
		}
	}}
	result, err := i.Run(t.Context(), src)
	return result, rejects, errors.Join(err, rejects.Close())
}

// Whenever an import is cut off, before a transaction or after it, the next run
// does the rest: every customer once, every rejected row once.
func TestAnImportContinues(t *testing.T) {
	for _, format := range []Format{CSV, NDJSON} {
		for cut := range 8 {
			for _, lost := range []bool{false, true} {
				file := sample(t, format)
				m := newMemory()
				m.failAt, m.lost = cut, lost
				if _, _, err := importFile(t, m, file); (err != nil) != (cut > 0 && cut <= 7) {
					t.Fatalf("cut at %d: %v", cut, err)
				}
				m.failAt = 0
				result, rejects, err := importFile(t, m, file)
				if err != nil || result.Rejected != 4 {
					t.Fatalf("%s cut at %d: %+v, %v", format, cut, result, err)
				}
				if len(m.records) != 16 || len(m.marks) != 0 {
					t.Errorf("%s cut at %d: %s, marks %v", format, cut, ids(m), m.marks)
				}
				if cut > 1 && (cut < 7 || !lost) && result.Resumed == 0 { // the seventh is the last one
					t.Errorf("%s cut at %d: it began anew", format, cut)
				}
				text, err := os.ReadFile(rejects.Path)
				if err != nil {
					t.Fatal(err)
				}
				if n := strings.Count(string(text), "the id is missing"); n != 4 {
					t.Errorf("%s cut at %d: %d rejected rows:\n%s", format, cut, n, text)
				}
			}
		}
	}
}

// The rejected rows can be corrected in their file, and imported.
func TestRejectedRowsCanBeCorrected(t *testing.T) {
	for _, format := range []Format{CSV, NDJSON} {
		file := sample(t, format)
		_, rejects, err := importFile(t, newMemory(), file)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(rejects.Path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		text, err := os.ReadFile(rejects.Path)
		if err != nil {
			t.Fatal(err)
		}
		// a spreadsheet must not run what was refused
		if format == CSV && !strings.Contains(string(text), ",,3,\"'=bad\nrow\",") {
			t.Errorf("the rejected rows are\n%s", text)
		}
		corrected := strings.Replace(string(text), ",,3,", ",D3,3,", 1)
		corrected = strings.Replace(corrected, `{"tel":3,`, `{"id":"D3","tel":3,`, 1)
		if err := os.WriteFile(rejects.Path, []byte(corrected), 0o600); err != nil {
			t.Fatal(err)
		}
		m := newMemory()
		result, again, err := importFile(t, m, rejects.Path)
		if err != nil || result.Stored != 1 || result.Rejected != 3 || ids(m) != "D3" || again.Path == rejects.Path {
			t.Errorf("%s: %+v, %v: %s", format, result, err, ids(m))
		}
	}
}

// A file that is no list of rejected rows is left alone; one of an earlier
// import makes place.
func TestRejectsLeaveOtherFilesAlone(t *testing.T) {
	for _, format := range []Format{CSV, NDJSON} {
		file := sample(t, format)
		path := rejectsPath(file, format)
		if err := os.WriteFile(path, []byte("id,tel\nprecious,1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		m := newMemory()
		if _, _, err := importFile(t, m, file); !errors.Is(err, errForeign) || len(m.records) > 0 {
			t.Errorf("%v, %d customers", err, len(m.records))
		}
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "precious") {
			t.Errorf("it holds %q, %v", text, err)
		}
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if result, _, err := importFile(t, m, file); err != nil || result.Rejected != 4 {
				t.Errorf("%+v, %v", result, err)
			}
		}
	}
}

// A row that is cut in two by a crash is written again.
func TestATornRejectsFile(t *testing.T) {
	for _, format := range []Format{CSV, NDJSON} {
		file := sample(t, format)
		m := newMemory()
		m.failAt = 6
		_, rejects, err := importFile(t, m, file)
		if !errors.Is(err, errDown) {
			t.Fatal(err)
		}
		info, err := os.Stat(rejects.Path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(rejects.Path, info.Size()-4); err != nil {
			t.Fatal(err)
		}
		m.failAt = 0
		if result, _, err := importFile(t, m, file); err != nil || result.Rejected < 3 || len(m.records) != 16 {
			t.Errorf("%s: %+v, %v, %d customers", format, result, err, len(m.records))
		}
	}
}

// Another content or another time is another file: it is imported from its
// beginning.
func TestAChangedFileBeginsAnew(t *testing.T) {
	file := sample(t, CSV)
	m := newMemory()
	m.failAt = 4
	if _, _, err := importFile(t, m, file); !errors.Is(err, errDown) {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, "C99,1,\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if result, _, err := importFile(t, m, file); err != nil || result.Resumed != 0 || result.Stored != 17 {
		t.Errorf("%+v, %v", result, err)
	}
	if _, err := FromFile(folder(t)); err == nil {
		t.Error("a folder is a file")
	}
}

func folder(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// The later of two rows of one id wins, and a batch ends by its number.
func TestBatchesAndUpserts(t *testing.T) {
	m := newMemory()
	result, err := load(t, m, Detect, "id,nick\nC1,a\nC2,b\nC1,c\nC3,d\n")
	if err != nil || result.Stored != 4 || m.records["C1"].Nickname != "c" || fmt.Sprint(m.batches) != "[3 1]" {
		t.Errorf("%+v, %v, batches %v", result, err, m.batches)
	}
}

// What ends the reading early is told, and what came before is stored.
func TestABrokenSource(t *testing.T) {
	m := newMemory()
	i := Importer{Store: m}
	broken := io.MultiReader(strings.NewReader("id\nC1\n"), failing{})
	if _, err := i.Run(t.Context(), Source{Reader: broken}); !errors.Is(err, errDown) || ids(m) != "C1" {
		t.Errorf("%v, %s", err, ids(m))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	i.Batch = 1
	if _, err := i.Run(ctx, Source{Reader: strings.NewReader("id\nC1\nC2\nC3\n"), ID: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errDown }

// What is exported and imported is the same, in both formats.
func TestExportAndImport(t *testing.T) {
	m := newMemory()
	for i := range 500 {
		c := customers.New(3).Customer(i)
		c.Custom = map[string]string{"contract_no": fmt.Sprint(i), "+odd": "=1+1", "note": " blank \r\n\"quoted\",\ttab "}
		if i%3 == 0 {
			c.Custom = nil
		}
		if i%7 == 0 {
			c.Nickname, c.Remark, c.RealName = "=cmd|'/c calc'!A0", "''+1", "'; DROP TABLE customers; --"
		}
		if err := c.Normalize(); err != nil {
			t.Fatal(err)
		}
		m.records[c.ID] = c
	}
	for _, format := range []Format{CSV, NDJSON} {
		var out strings.Builder
		n, err := Export(t.Context(), m, &out, format, func(int64) {})
		if err != nil || n != 500 {
			t.Fatalf("%d, %v", n, err)
		}
		again := newMemory()
		if result, err := load(t, again, Detect, out.String()); err != nil || result.Stored != 500 || result.Rejected != 0 {
			t.Fatalf("%+v, %v", result, err)
		}
		sameRecords(t, m.records, again.records, format)
	}
}

// Memory does not grow with the file.
func TestMemoryIsFlat(t *testing.T) {
	const rows = 60_000 // 70 MB, if they were kept
	r, w := io.Pipe()
	go func() {
		_, err := Export(context.Background(), customers.List{Seed: 1, N: rows}, w, CSV, nil)
		_ = w.CloseWithError(err)
	}()
	var peak uint64
	i := Importer{Store: discard{newMemory()}, Batch: 1000, Progress: func(Progress) {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		peak = max(peak, stats.HeapInuse)
	}}
	result, err := i.Run(t.Context(), Source{Reader: r})
	if err != nil || result.Stored != rows {
		t.Fatalf("%+v, %v", result, err)
	}
	if peak > 40<<20 {
		t.Errorf("%d MiB of memory in use", peak>>20)
	}
}

// discard keeps nobody.
type discard struct{ *memory }

func (discard) Put(context.Context, []*customer.Record, *customer.Mark) error { return nil }
