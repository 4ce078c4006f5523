package exchange

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize/english"

	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

// Rejects is the file of the rows that are no customers, each with its line and
// the reason. It can be corrected and imported: the columns that begin with _
// are passed over then. It has mode 0600, and isn't there when there is no such
// row.
type Rejects struct {
	// Path says which file. Default: customers.rejects.csv beside a customers.csv,
	// which is Name.
	Path, Name string

	format Format
	header []string
	file   *os.File
}

func rejectsPath(name string, format Format) string {
	return strings.TrimSuffix(name, filepath.Ext(name)) + ".rejects." + string(format)
}

var errForeign = errors.New("it exists, and holds no rejected rows; name another one with --rejects")

// begin prepares the file. Rows up to a line stay in it, and are counted; those
// behind will be written again.
func (r *Rejects) begin(format Format, header []string, upTo int64) (kept int64, err error) {
	if format == JSON { // one object a line can be continued
		format = NDJSON
	}
	r.format, r.header = format, header
	if r.Path == "" {
		r.Path = rejectsPath(r.Name, format)
	}
	f, err := os.OpenFile(r.Path, os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	size, kept, err := keep(f, format, upTo)
	if err == nil && kept > 0 {
		err = errors.Join(f.Chmod(0o600), f.Truncate(size))
	}
	if err != nil || kept == 0 {
		_ = f.Close()
		if err == nil {
			err = os.Remove(r.Path) // of an earlier import
		}
		if err != nil {
			return 0, fmt.Errorf("the rejects file %s: %w", r.Path, err)
		}
		return 0, nil
	}
	r.file = f
	return kept, nil
}

// keep finds where the rows behind a line begin, and how many there are before.
func keep(f *os.File, format Format, upTo int64) (size, kept int64, err error) {
	in := newLines(f)
	in.limit *= 8 // quoted, and with a reason
	c := csvRows{in: in}
	if format == CSV {
		err := c.read()
		if errors.Is(err, io.EOF) {
			return 0, 0, nil
		}
		if err != nil || len(c.cells.ends) < 2 || strings.Join(c.cells.all()[:2], ",") != "_line,_reason" {
			return 0, 0, errForeign
		}
	}
	for size = in.offset; ; size = in.offset {
		var line int64
		if format == CSV {
			err = c.read()
			if err == nil {
				line, err = strconv.ParseInt(c.cells.all()[0], 10, 64)
			}
		} else {
			var text []byte
			if text, _, err = in.next(); err == nil {
				var entry struct {
					Line int64 `json:"_line"`
				}
				if err = json.Unmarshal(text, &entry); (err != nil || entry.Line == 0) && size == 0 {
					return 0, 0, errForeign
				}
				line = entry.Line
			}
		}
		if err != nil || line > upTo { // the end, maybe a torn one
			return size, kept, nil
		}
		kept++
	}
}

func (r *Rejects) write(rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	err := r.create()
	if err == nil {
		w := bufio.NewWriter(r.file)
		if r.format == CSV {
			err = r.writeCSV(w, rows)
		} else {
			writeJSON(w, rows)
		}
		err = errors.Join(err, w.Flush())
	}
	if err != nil {
		return fmt.Errorf("writing the rejects file %s: %w", r.Path, err)
	}
	return nil
}

func (r *Rejects) create() (err error) {
	if r.file != nil {
		return nil
	}
	r.file, err = os.OpenFile(r.Path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil || r.format != CSV {
		return err
	}
	w := csv.NewWriter(r.file)
	_ = w.Write(r.row("_line", "_reason", r.header, "_row"))
	w.Flush()
	return w.Error()
}

func (r *Rejects) writeCSV(to io.Writer, rows []row) error {
	w := csv.NewWriter(to)
	for _, row := range rows {
		safe := make([]string, max(len(r.header), len(row.cells)))
		for i, cell := range row.cells {
			safe[i] = defuse(cellText(cell))
		}
		_ = w.Write(r.row(strconv.FormatInt(row.line, 10), row.reason.Error(), safe, defuse(row.text)))
	}
	w.Flush()
	return w.Error()
}

// row leaves the columns out that a file of rejected rows has itself, when it
// is imported.
func (r *Rejects) row(line, reason string, cells []string, text string) []string {
	all := []string{line, reason}
	for i, name := range r.header {
		if !strings.HasPrefix(name, "_") {
			all = append(all, cells[i])
		}
	}
	return append(all, text)
}

func writeJSON(w *bufio.Writer, rows []row) {
	for _, row := range rows {
		text := []byte(`{"_row":`)
		if object := strings.TrimSpace(row.text); strings.HasPrefix(object, "{") && json.Valid([]byte(object)) {
			text = append(text[:0], strings.TrimSpace(object[:len(object)-1])...)
		} else {
			text = appendString(text, row.text)
		}
		if len(text) > 1 { // of an empty object only the brace is left
			text = append(text, ',')
		}
		text = fmt.Appendf(text, `"_line":%d,"_reason":`, row.line)
		text = appendString(text, row.reason.Error())
		_, _ = w.Write(append(text, "}\n"...)) // Flush tells
	}
}

// Close closes the file and puts it on disk.
func (r *Rejects) Close() error {
	if r.file == nil {
		return nil
	}
	return errors.Join(r.file.Sync(), r.file.Close())
}

// Unsearchable counts the customers of a file who can't be found by a field,
// because what stands there is nothing that it could hold. They are imported all
// the same.
type Unsearchable struct {
	Field string // tel or email
	Count int64
	First int64 // the line of the first one
}

// String is a line for people; it holds no value.
func (u Unsearchable) String() string {
	customers := english.PluralWord(int(u.Count), "customer", "")
	return fmt.Sprintf("%s of %d %s can't be searched, first in line %d", u.Field, u.Count, customers, u.First)
}

// unsearched counts by telephone number, and by email.
type unsearched [2]Unsearchable

func (u *unsearched) add(i int, field customer.Param, line int64) {
	if u[i].Count++; u[i].Count == 1 {
		u[i].Field, u[i].First = string(field), line
	}
}

func (u *unsearched) note(r *customer.Record, line int64, region phone.Region) {
	if r.Tel != "" && customer.TelKey(r.Tel, region) == "" {
		u.add(0, customer.ByTel, line)
	}
	if r.Email != "" && customer.EmailKey(r.Email) == "" {
		u.add(1, customer.ByEmail, line)
	}
}

// found are those of which there is one.
func (u *unsearched) found() []Unsearchable {
	return slices.DeleteFunc(slices.Clone(u[:]), func(field Unsearchable) bool { return field.Count == 0 })
}
