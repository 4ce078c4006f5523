package schema

import (
	"crypto/sha256"
	"fmt"
	"testing"
)

// What was released once never changes.
func TestMigrationsAreAsReleased(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]Dialect{
		"a6643a8f67e3adeddba765405b4d6699ebe5288ef6c674ab7c277a6ab637cb4d": SQLite,
		"e14e0de97c2e82cb47ef58be4a4ad82b25b718e53df1eef1658c8af1aeb76936": Postgres,
	} {
		h := sha256.New()
		for _, m := range migrations[:1] {
			for _, text := range m(d) {
				fmt.Fprintln(h, text)
			}
		}
		if got := fmt.Sprintf("%x", h.Sum(nil)); got != want {
			t.Errorf("version 1 of %+v has the digest %s, not %s", d, got, want)
		}
	}
}
