package exchange

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

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
