package api

import (
	"bytes"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
)

// An API that echoed our token escaped had it shown in `last`, because a body that isn't
// read was compared with the token as it is.
func TestEchoedTokenIsNotShown(t *testing.T) {
	escaped := strings.NewReplacer("-", "&#45;").Replace(spanSecret)
	for name, test := range map[string]struct{ contentType, body, want string }{
		"HTML":            {"text/html", "<html><body>bad token " + escaped + "</body></html>", "<html><body>bad token ***</body></html>"},
		"broken JSON":     {"application/json", `{"t":"` + strings.ReplaceAll(spanSecret, "-", `\u002d`) + `","q":`, `{"t":"***","q":`},
		"UTF-16":          {"text/plain; charset=utf-16le", "b\x00:\x00" + strings.Join(strings.Split(spanSecret, ""), "\x00") + "\x00", "b:***"},
		"cut off":         {"application/json", `{"t":"` + spanSecret[:9], `{"t":"***`},
		"broken XML":      {"text/xml", "<r><t>" + spanSecret[:4] + "<![CDATA[" + spanSecret[4:] + "]]></t>", "<r><t>***]]></t>"},
		"XML over 64 KiB": {"text/xml", "<r><t>" + escaped + "</t><!--" + strings.Repeat("x", 64<<10) + "--></r>", "<r><t>***</t>"},
	} {
		t.Run(name, func(t *testing.T) {
			a := spanned(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.contentType)
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = io.WriteString(w, test.body)
			}, endpoint.Settings{})
			ask(t, a, "tel=13800138000")
			failures := a.route.State.Failures("")
			if len(failures) == 0 {
				t.Fatal("the failure isn't kept")
			}
			var body string
			for _, step := range failures[0].Steps {
				if out, ok := step.Out.(map[string]any); ok && step.Step == "call" {
					body, _ = out["body"].(string)
				}
			}
			if !strings.HasPrefix(body, test.want) {
				t.Errorf("step call shows %.200s", body)
			}
			all, err := json.Marshal(failures)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains([]byte(html.UnescapeString(string(all))), []byte(spanSecret)) {
				t.Errorf("the token is in %s", all)
			}
		})
	}
}
