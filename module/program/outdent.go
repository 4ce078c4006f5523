package program

import "strings"

// Outdent is a program without the blanks that all its lines but the first begin
// with, as they do in a Caddyfile. A program with a string over several lines stays
// as it is.
func Outdent(src string) string {
	lines := strings.Split(src, "\n")
	margin, found := "", false
	for i, line := range lines {
		if strings.Count(strings.ReplaceAll(line, `\"`, ""), `"`)%2 != 0 {
			return src
		}
		if i == 0 || strings.TrimSpace(line) == "" {
			continue
		}
		blanks := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if !found {
			margin, found = blanks, true
		}
		for !strings.HasPrefix(blanks, margin) {
			margin = margin[:len(margin)-1]
		}
	}
	for i := 1; i < len(lines); i++ {
		lines[i] = strings.TrimPrefix(lines[i], margin)
	}
	return strings.Join(lines, "\n")
}
