package transport

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestWithHeader(t *testing.T) {
	for name, test := range map[string]struct{ have, want http.Header }{
		"no header at all": {nil, http.Header{"X-Token": {"ours"}}},
		"duplicates":       {http.Header{"X-Token": {"a", "b"}, "Via": {"1.1 c"}}, http.Header{"X-Token": {"ours"}, "Via": {"1.1 c"}}},
		"other spellings": {
			http.Header{"x-token": {"a"}, "X_Token": {"b"}, "X_TOKEN": {"c"}, "X.Token": {"d"}, "XToken": {"e"}},
			http.Header{"X-Token": {"ours"}, "XToken": {"e"}},
		},
		"named for removal": {
			http.Header{"Connection": {"X-Token, Upgrade", "x_token"}, "Trailer": {"X-Token"}, "Te": {"trailers, x-token"}},
			http.Header{"Connection": {"Upgrade"}, "Te": {"trailers"}, "X-Token": {"ours"}},
		},
		"an upgrade stays": {
			http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}},
			http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "X-Token": {"ours"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := test.have.Clone()
			got := withHeader(test.have, "X-Token", "ours")
			if !maps.EqualFunc(got, test.want, slices.Equal) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if !maps.EqualFunc(test.have, before, slices.Equal) {
				t.Errorf("the request's own header has changed: %v", test.have)
			}
		})
	}
}

func TestWithoutTrailer(t *testing.T) {
	have := http.Header{"X-Token": {"theirs"}, "X_token": nil, "Digest": {"d"}}
	if got := withoutField(have, "X-Token"); len(got) != 1 || got.Get("Digest") != "d" {
		t.Errorf("got %v", got)
	}
	if len(have) != 3 {
		t.Error("the request's own trailer has changed")
	}
}

// FuzzHeaderClean: whatever a client sends, the API sees one token, ours, and
// nothing asks for its removal.
func FuzzHeaderClean(f *testing.F) {
	f.Add("x_access_token", "theirs", "close, X-Access-Token")
	f.Add("X-Access-Token", "", "x-access-token,,keep-alive")
	f.Add("Connection", "X-Access-Token", "Upgrade")
	f.Add("Te", "trailers;q=0.5, X_Access_Token", "")
	f.Add("X-Access-Tokén", "\x00", " x-access-token\t")
	f.Fuzz(func(t *testing.T, key, value, connection string) {
		const name = "X-Access-Token"
		have := http.Header{key: {value, value}, "Connection": {connection}, "Accept": {"*/*"}}
		before := have.Clone()
		got := withHeader(have, name, "ours")
		if !maps.EqualFunc(have, before, slices.Equal) {
			t.Fatal("the request's own header has changed")
		}
		for k, lines := range got {
			if sameField(k, name) && (k != name || !slices.Equal(lines, []string{"ours"})) {
				t.Errorf("%q: %q", k, lines)
			}
		}
		if got.Get(name) != "ours" {
			t.Error("no token")
		}
		if key != "Accept" && !slices.Equal(got["Accept"], before["Accept"]) {
			t.Errorf("Accept is %q", got["Accept"])
		}
		for member := range strings.SplitSeq(strings.Join(got["Connection"], ","), ",") {
			if strings.EqualFold(strings.TrimSpace(member), name) {
				t.Errorf("Connection %q names the token", got["Connection"])
			}
		}
	})
}
