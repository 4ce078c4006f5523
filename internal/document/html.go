package document

import (
	"bytes"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

var (
	// pageMark is what only a page of HTML has, wherever it is.
	pageMark = regexp.MustCompile(`(?i)<(?:!doctype\s+html|html[\s>/])`)

	// markInText is what only HTML has in a text that doesn't begin with an element: a
	// proxy may write a line before its page.
	markInText = regexp.MustCompile(`(?i)<(?:head|body|center|h1)[\s>/]`)

	// startTag is the start of an element without a prefix.
	startTag = regexp.MustCompile(`^<([A-Za-z][A-Za-z0-9]*)(?:[\s/>]|$)`)
)

var (
	// pageElements begin pages and parts of pages, and no documents.
	pageElements = []string{
		"html", "center", "h1", "h2", "h3", "h4", "h5", "h6", "div", "span", "font", "script", "style", "iframe", "meta", "br", "hr",
	}
	// pageSections begin parts of pages, and may also begin documents.
	pageSections = []string{"head", "body", "title"}
)

// isHTML reports whether a text is HTML: it begins as HTML does by the rules of
// net/http (WHATWG MIME Sniffing) or with one of our elements, or the mark of a page
// is in its first 4 KiB.
func isHTML(text []byte) bool {
	head, rest := text[:min(len(text), looked)], afterProlog(text)
	switch {
	case pageMark.Match(head):
		return true
	case !bytes.HasPrefix(rest, []byte("<")):
		return markInText.Match(head)
	case strings.HasPrefix(http.DetectContentType(rest), "text/html"):
		return true
	}
	name, _ := tag(rest)
	return slices.Contains(pageElements, name) || slices.Contains(pageSections, name)
}

// isPage reports whether a document of XML is a page, by its root. Where XML is asked
// for, body, head and title count only if an element of a page follows at once.
func isPage(text []byte, asked bool) bool {
	root, rest := tag(afterProlog(text))
	switch {
	case slices.Contains(pageElements, root):
		return true
	case !slices.Contains(pageSections, root):
		return false
	case !asked:
		return true
	}
	child, _ := tag(afterProlog(rest))
	return slices.Contains(pageElements, child) || child == "p" || root == "head" && child == "title"
}

// isBrokenPage reports whether a text that is no document of XML is a page.
func isBrokenPage(text []byte) bool {
	return isPage(text, false) || pageMark.Match(text[:min(len(text), looked)])
}

// tag returns the name of the element that a text begins with, in lower case, and
// what follows its start tag; "" for another text, and for a name with a prefix.
func tag(text []byte) (name string, rest []byte) {
	found := startTag.FindSubmatch(text)
	if found == nil {
		return "", nil
	}
	_, rest, _ = bytes.Cut(text, []byte(">"))
	return strings.ToLower(string(found[1])), rest
}

// afterProlog returns what follows the white space, comments, instructions and
// document types that a text begins with.
func afterProlog(text []byte) []byte {
	for {
		text = bytes.TrimLeft(text, " \t\r\n")
		var end string
		switch {
		case bytes.HasPrefix(text, []byte("<!--")):
			end = "-->"
		case bytes.HasPrefix(text, []byte("<?")):
			end = "?>"
		case bytes.HasPrefix(text, []byte("<!")):
			end = ">"
		default:
			return text
		}
		_, rest, ok := bytes.Cut(text, []byte(end))
		if !ok {
			return text
		}
		text = rest
	}
}

// isForm reports whether a text looks like a form: it has a `=`, and every pair has a
// name without white space and markup.
func isForm(text []byte) bool {
	if bytes.IndexByte(text, '=') < 0 || isHTML(text) {
		return false
	}
	for pair := range bytes.SplitSeq(bytes.TrimSpace(text), []byte("&")) {
		name, _, _ := bytes.Cut(pair, []byte("="))
		if len(name) == 0 && len(pair) > 0 || bytes.ContainsFunc(name, notInName) {
			return false
		}
	}
	return true
}

func notInName(c rune) bool { return c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == '"' }
