package usertables

import (
	"errors"
	"strings"
)

// Kind is a kind of database: how it writes strings, comments and placeholders.
type Kind uint8

// The kinds.
const (
	Postgres Kind = iota
	MySQL         // and MariaDB
	SQLite
)

// String is the name of the kind's store in a Caddyfile.
func (k Kind) String() string { return [...]string{"postgres", "mysql", "sqlite"}[k] }

// class is what a token is for us.
type class uint8

const (
	other       class = iota // a sign, a number; a quoted text or name
	comment                  // also blanks
	word                     // a keyword or a name
	bind                     // :name
	placeholder              // one of the database's own, as in ?
	semicolon
)

// token is a part of a statement.
type token struct {
	class      class
	start, end int
}

// lexer cuts a statement into tokens. It knows just enough of SQL to tell binds
// from what only looks like them.
type lexer struct {
	kind Kind
	sql  string
	at   int
}

var (
	errOpenQuote   = errors.New("a quote is not closed")
	errOpenComment = errors.New("a comment is not closed")
	errExecuted    = errors.New("the database would execute the comment /*! … */; write its text or leave it out")
)

// next returns the next token; at the end of the statement ok is false.
func (l *lexer) next() (t token, ok bool, err error) {
	if l.at >= len(l.sql) {
		return token{}, false, nil
	}
	t.start = l.at
	t.class, err = l.scan()
	t.end = l.at
	return t, true, err
}

func (l *lexer) scan() (class, error) {
	rest := l.sql[l.at:]
	c, after := rest[0], byte(0)
	if len(rest) > 1 {
		after = rest[1]
	}
	switch {
	case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
		return l.take(1, comment)
	case l.lineComment(rest):
		if n := strings.IndexByte(rest, '\n'); n >= 0 {
			return l.take(n, comment)
		}
		return l.take(len(rest), comment)
	case c == '/' && after == '*':
		return comment, l.blockComment(rest)
	case c == '\'' || c == '"':
		return other, l.quoted(c, l.kind == MySQL)
	case c == '`' && l.kind != Postgres:
		return other, l.quoted(c, false)
	case c == '[' && l.kind == SQLite:
		return other, l.until("]", 1)
	case c == ':' && (after == ':' || after == '='): // a cast, an assignment
		return l.take(2, other)
	case c == ':' && startsName(after):
		return l.name(1, bind)
	case c == ';':
		return l.take(1, semicolon)
	case c == '?' && l.kind != Postgres:
		return l.take(1, placeholder)
	case c == '$' && l.kind == Postgres:
		return l.dollar(rest)
	case (c == '$' || c == '@') && l.kind == SQLite && (startsName(after) || isDigit(after)):
		return l.name(1, placeholder)
	case (c == 'e' || c == 'E') && after == '\'' && l.kind == Postgres:
		l.at++
		return other, l.quoted('\'', true) // E'…' has backslashes
	case startsName(c):
		return l.name(0, word)
	case isDigit(c):
		return l.name(0, other)
	default:
		return l.take(1, other)
	}
}

// take passes n bytes.
func (l *lexer) take(n int, c class) (class, error) {
	l.at += n
	return c, nil
}

// lineComment reports whether a comment up to the end of the line begins. After
// MySQL's two dashes there must be a blank: in 5--1 there is none.
func (l *lexer) lineComment(rest string) bool {
	if l.kind == MySQL && rest[0] == '#' {
		return true
	}
	if !strings.HasPrefix(rest, "--") {
		return false
	}
	return l.kind != MySQL || len(rest) == 2 || rest[2] <= ' '
}

// blockComment passes /* … */, which in PostgreSQL can hold others.
func (l *lexer) blockComment(rest string) error {
	if l.kind == MySQL && (strings.HasPrefix(rest, "/*!") || strings.HasPrefix(rest, "/*M!")) {
		return errExecuted
	}
	l.at += 2
	for depth := 1; depth > 0; {
		rest := l.sql[l.at:]
		switch {
		case len(rest) < 2:
			return errOpenComment
		case rest[:2] == "*/":
			depth--
			l.at += 2
		case rest[:2] == "/*" && l.kind == Postgres:
			depth++
			l.at += 2
		default:
			l.at++
		}
	}
	return nil
}

// quoted passes a text or name in quotes. A doubled quote needs no care: it ends one text and begins another.
func (l *lexer) quoted(quote byte, backslashes bool) error {
	for i := l.at + 1; i < len(l.sql); i++ {
		switch c := l.sql[i]; {
		case c == quote:
			l.at = i + 1
			// The second half of a doubled quote has the same backslashes.
			if i+1 < len(l.sql) && l.sql[i+1] == quote {
				i++
				continue
			}
			return nil
		case c == '\\' && backslashes:
			i++
		}
	}
	return errOpenQuote
}

// dollar passes $tag$ … $tag$, and tells $1 from it.
func (l *lexer) dollar(rest string) (class, error) {
	end := 1
	for end < len(rest) && (startsName(rest[end]) || end > 1 && isDigit(rest[end])) {
		end++
	}
	if end < len(rest) && rest[end] == '$' {
		return other, l.until(rest[:end+1], end+1)
	}
	if len(rest) > 1 && isDigit(rest[1]) {
		return l.name(1, placeholder)
	}
	return l.take(1, other)
}

// until passes everything up to the end of what closes, searched n bytes further.
func (l *lexer) until(closing string, n int) error {
	i := strings.Index(l.sql[l.at+n:], closing)
	if i < 0 {
		return errOpenQuote
	}
	l.at += n + i + len(closing)
	return nil
}

// name passes n bytes and the name that follows.
func (l *lexer) name(n int, c class) (class, error) {
	l.at += n
	for l.at < len(l.sql) && (startsName(l.sql[l.at]) || isDigit(l.sql[l.at]) || l.sql[l.at] == '$') {
		l.at++
	}
	return c, nil
}

func startsName(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
