package exchange

import "strings"

// A spreadsheet takes a cell that begins with = + - @ (in their wide forms,
// too) or with a control character for a formula. Such a cell is written with a
// ' before it, which spreadsheets read as "this is text". Reading takes it off
// again, so that what was exported comes back as it was; a value that itself
// begins with ' and one of these gets another one.

func defuse(cell string) string {
	if active(strings.TrimLeft(cell, "'")) {
		return "'" + cell
	}
	return cell
}

func undefuse(cell string) string {
	if len(cell) > 1 && cell[0] == '\'' && active(strings.TrimLeft(cell, "'")) {
		return cell[1:]
	}
	return cell
}

// cellText is the text that a cell of a CSV stands for: without the ' that [defuse]
// has written, or without what makes a formula of a text, as in ="00123", which
// keeps a spreadsheet from making a number of it.
func cellText(cell string) string {
	if text := undefuse(cell); len(text) != len(cell) {
		return text
	}
	if isFormulaText(cell) {
		return cell[2 : len(cell)-1]
	}
	return cell
}

// isFormulaText reports whether a cell is a formula that is nothing but a text.
func isFormulaText[T string | []byte](cell T) bool {
	last := len(cell) - 1
	if last < 2 || cell[0] != '=' || cell[1] != '"' || cell[last] != '"' {
		return false
	}
	return strings.IndexByte(string(cell[2:last]), '"') < 0
}

func active(cell string) bool {
	if cell == "" {
		return false
	}
	switch cell[0] {
	case '=', '+', '-', '@', '\t', '\r', '\n':
		return true
	}
	for _, wide := range []string{"＝", "＋", "－", "＠"} {
		if cell[0] == wide[0] && strings.HasPrefix(cell, wide) {
			return true
		}
	}
	return false
}
