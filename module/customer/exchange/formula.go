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
