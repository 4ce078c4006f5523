package exchange

import (
	"bytes"
	"errors"
)

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
