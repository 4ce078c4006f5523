// Package exchange brings customers into a store and out of it, as CSV or as
// NDJSON (one JSON object a line), and into it as a JSON array, too. Memory stays
// flat, however long a file is.
package exchange

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// Format is how customers are written.
type Format string

// The formats. [Detect] is what tells them apart by their first character.
const (
	Detect Format = ""
	CSV    Format = "csv"
	NDJSON Format = "ndjson"
	JSON   Format = "json" // one array of objects; only for imports
)

// ParseFormat reads a format's name. Blank is [Detect].
func ParseFormat(name string) (Format, error) {
	switch f := Format(name); f {
	case Detect, CSV, NDJSON, JSON:
		return f, nil
	case "jsonl":
		return NDJSON, nil
	}
	return "", errors.New("the format is neither csv nor ndjson nor json")
}

// MaxRow is how long one row can be, in bytes. A longer one is rejected: most
// often a quote is missing.
const MaxRow = 1 << 20

// row is what stands in a file for one customer.
type row struct {
	line   int64 // where it begins, from 1; in a JSON array, which one it is
	record *customer.Record
	// reason says why it is no customer, without a value of it.
	reason error
	// cells and text are kept of a rejected row: its cells, where there are as
	// many as the header has, else its text.
	cells []string
	text  string
}

// rows reads a file row by row. At the end next returns io.EOF; any other error
// ends the reading, too.
type rows interface {
	next() (row, error)
}

// open reads what comes before the first row.
func open(r io.Reader, format Format) (rows, Format, *lines, error) {
	in := newLines(r)
	if err := in.begin(); err != nil {
		return nil, "", nil, err
	}
	if format == Detect {
		format = CSV
		switch in.first() {
		case '{':
			format = NDJSON
		case '[':
			format = JSON
		}
	}
	switch format {
	case NDJSON:
		return &jsonRows{in: in}, format, in, nil
	case JSON:
		a, err := newArrayRows(in)
		return a, format, in, err
	case Detect, CSV:
	}
	c, err := newCSVRows(in)
	if err != nil {
		return nil, "", nil, fmt.Errorf("line %d: %w", max(1, in.number), err)
	}
	return c, format, in, nil
}

// knownKinds are files that are often taken for a CSV, by how they begin, and what to
// do with them.
var knownKinds = []struct {
	magic  string
	within string // what else the beginning holds; "" is anything
	err    error
}{
	{"PK\x03\x04", "opendocument.spreadsheet", errors.New("the file is an OpenDocument spreadsheet (.ods); save it as CSV in UTF-8, and import that")},
	{"PK\x03\x04", "[Content_Types].xml", errWorkbook},
	{"PK\x03\x04", "xl/", errWorkbook},
	{"PK\x03\x04", "", errors.New("the file is a ZIP archive; unpack it, and import the CSV or JSON file in it. If it is an Excel workbook, save it as \"CSV UTF-8\" first")},
	{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "", errors.New("the file is an old Excel workbook (.xls); save it as \"CSV UTF-8\" in Excel, or as CSV in UTF-8 in another program, and import that")},
	{"\x1f\x8b", "", errors.New("the file is compressed with gzip; unpack it: zcat FILE | caddy switchboard customers import")},
	{"BZh", "1AY&SY", errors.New("the file is compressed with bzip2; unpack it: bzcat FILE | caddy switchboard customers import")},
	{"\xfd7zXZ\x00", "", errors.New("the file is compressed with xz; unpack it: xzcat FILE | caddy switchboard customers import")},
	{"\x28\xb5\x2f\xfd", "", errors.New("the file is compressed with zstd; unpack it: zstdcat FILE | caddy switchboard customers import")},
	{"%PDF-", "", errors.New("the file is a PDF; export the customers as CSV in UTF-8, and import that")},
	{"SQLite format 3\x00", "", errors.New("the file is a SQLite database; read it in place with find, or export the customers as CSV in UTF-8")},
	{"\xff\xfe", "", errUTF16},
	{"\xfe\xff", "", errUTF16},
}

var (
	errWorkbook = errors.New("the file is an Excel workbook (.xlsx); save it as \"CSV UTF-8\" in Excel, or as CSV in UTF-8 in another program, and import that")
	errUTF16    = errors.New("the file is UTF-16; save it as UTF-8 (Excel calls that \"CSV UTF-8\"), or convert it: iconv -f UTF-16 -t UTF-8 FILE | caddy switchboard customers import")
	errHTML     = errors.New("the file is HTML, as some programs write under the name .xls; open it in a spreadsheet, save it as CSV in UTF-8, and import that")
)

// checkKind looks at the beginning of a file. The error says what else it is than
// text in UTF-8, and what to do.
func checkKind(head []byte) error {
	for _, kind := range knownKinds {
		if bytes.HasPrefix(head, []byte(kind.magic)) && bytes.Contains(head, []byte(kind.within)) {
			return kind.err
		}
	}
	// UTF-16 without a byte order mark: ASCII characters have every second byte 0.
	if len(head) >= 4 && (head[0] == 0) != (head[1] == 0) && (head[0] == 0) == (head[2] == 0) && (head[1] == 0) == (head[3] == 0) {
		return errUTF16
	}
	text := bytes.ToLower(bytes.TrimSpace(head[:min(len(head), 256)]))
	for _, tag := range []string{"<!doctype", "<html", "<table", "<?xml"} {
		if bytes.HasPrefix(text, []byte(tag)) {
			return errHTML
		}
	}
	return nil
}

// Source is where customers are imported from.
type Source struct {
	Reader io.Reader
	Format Format // Detect, or what somebody says it is
	Size   int64  // in bytes, 0 when it is unknown
	// ID names the file and its content; "" is what can't be read again, such
	// as a pipe: an import of it begins anew when it was interrupted.
	ID string
}

// FromFile is the source for a file: its ID is a digest of its size, the time
// of its last change, and its first and last 64 KiB. The file stays the caller's.
func FromFile(f *os.File) (Source, error) {
	info, err := f.Stat()
	if err != nil {
		return Source{}, err
	}
	if info.IsDir() {
		return Source{}, errors.New("it is a folder")
	}
	if !info.Mode().IsRegular() {
		return Source{Reader: f}, nil
	}
	const part = 64 << 10
	h := sha256.New()
	fmt.Fprintln(h, info.Size(), info.ModTime().UnixNano())
	for _, from := range []int64{0, max(0, info.Size()-part)} {
		if _, err := io.Copy(h, io.NewSectionReader(f, from, part)); err != nil {
			return Source{}, err
		}
	}
	return Source{Reader: f, Size: info.Size(), ID: fmt.Sprintf("%x", h.Sum(nil))}, nil
}

// lines reads lines of any length, and gives those beyond a limit cut.
type lines struct {
	r      *bufio.Reader
	limit  int    // of a line, and of a row of several
	long   []byte // a line that did not fit into r
	number int64  // of the line read last
	offset int64  // behind the line read last, in bytes
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, 256<<10), limit: MaxRow} }

// begin skips a byte order mark. The error says that the file is of another kind.
func (l *lines) begin() error {
	const mark = "\xef\xbb\xbf"
	head, err := l.r.Peek(len(mark)) // all there is of a pipe, maybe
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(head) == mark {
		n, _ := l.r.Discard(len(mark))
		l.offset += int64(n)
	}
	head, _ = l.r.Peek(1)
	if n := l.r.Buffered(); n > 1 {
		head, _ = l.r.Peek(min(n, 4<<10))
	}
	return checkKind(head)
}

// first is the first byte that is no blank and no line break, within what is
// buffered; 0 for none.
func (l *lines) first() byte {
	if _, err := l.peek(); err != nil {
		return 0
	}
	head, _ := l.r.Peek(l.r.Buffered())
	if head = bytes.TrimLeft(head, " \t\r\n"); len(head) > 0 {
		return head[0]
	}
	return 0
}

// peek is the first byte of the next line.
func (l *lines) peek() (byte, error) {
	b, err := l.r.Peek(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// next is the next line with its end, valid until the one after. Of a line
// longer than the limit it is the beginning, and whole is false.
func (l *lines) next() (line []byte, whole bool, err error) {
	line, err = l.r.ReadSlice('\n')
	l.offset += int64(len(line))
	if err == nil {
		l.number++
		return line, true, nil
	}
	whole = true
	l.long = l.long[:0]
	for {
		if room := l.limit - len(l.long); len(line) > room {
			line, whole = line[:room], false
		}
		l.long = append(l.long, line...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			break
		}
		line, err = l.r.ReadSlice('\n')
		l.offset += int64(len(line))
	}
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, false, err
	case err != nil && len(l.long) == 0:
		return nil, false, io.EOF
	}
	l.number++
	return l.long, whole, nil
}

// chomp cuts the end of a line.
func chomp(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}
