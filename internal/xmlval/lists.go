package xmlval

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Lists are the elements that are always arrays, however many there are. Nil is
// none.
type Lists struct {
	always  bool
	members map[string]*Lists
}

var prefixes = regexp.MustCompile(`[^/:]*:`)

// NewLists returns the lists of paths such as "Envelope/Body/Orders/Order": names
// without prefixes, from the root element on. An error says what to write instead.
func NewLists(paths []string) (*Lists, error) {
	if len(paths) == 0 {
		return nil, nil //nolint:nilnil // none
	}
	root := new(Lists)
	for _, path := range paths {
		names := strings.Split(path, "/")
		if path != "" && names[0] == "" {
			return nil, fmt.Errorf("list %s: write the path without the slash at its beginning, from the name of the root element on", path)
		}
		if len(names) < 2 || len(names) == 2 && names[1] == "" {
			return nil, fmt.Errorf("list %q: write a path from the root element to the one that repeats, e.g. Envelope/Body/Orders/Order", path)
		}
		at := root
		for _, name := range names {
			if name == "" {
				return nil, fmt.Errorf("list %s: leave out the extra slash", path)
			}
			if strings.Contains(name, ":") {
				return nil, fmt.Errorf("list %s: names have no prefix here; write %s", path, prefixes.ReplaceAllString(path, ""))
			}
			if !utf8.ValidString(name) || !validName(name) {
				return nil, fmt.Errorf("list %s: %q is not the name of an element", path, name)
			}
			if at.members == nil {
				at.members = make(map[string]*Lists)
			}
			if at.members[name] == nil {
				at.members[name] = new(Lists)
			}
			at = at.members[name]
		}
		if at.always {
			return nil, fmt.Errorf("list %s is there twice", path)
		}
		at.always = true
	}
	return root, nil
}

func (l *Lists) member(name string) *Lists {
	if l == nil {
		return nil
	}
	return l.members[name]
}

func (l *Lists) inside() map[string]*Lists {
	if l == nil {
		return nil
	}
	return l.members
}
