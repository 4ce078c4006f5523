package api

import "testing"

// A program as a header's value was sent as it was written.
func TestHeaderValues(t *testing.T) {
	for value, refused := range map[string]bool{
		`("x" | md5)`:                            true,
		`"Bearer " + $token`:                     true,
		`$app_secret`:                            true,
		`{a: 1} | tojson`:                        true,
		`v5.0`:                                   false,
		`application/json`:                       false,
		`text/html | text/plain`:                 false,
		`{"path":"/orders"}`:                     false, // as Dropbox-API-Arg
		`("a" "b");created=1`:                    false, // as Accept-Signature
		`{http.request.header.Accept}`:           false,
		`Basic {env.BASIC}`:                      false,
		`$other`:                                 false,
		`Mozilla/5.0 (X11; Linux) | Switchboard`: false,
	} {
		a := &API{SetHeaders: map[string]string{"X-A": value}}
		a.programs.headerVars = []string{"request", "token", "app_secret"}
		if err := a.checkHeaderValues(""); (err != nil) != refused {
			t.Errorf("%s: %v", value, err)
		}
	}
}
