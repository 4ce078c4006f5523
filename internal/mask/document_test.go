package mask_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/internal/mask"
)

func TestDocument(t *testing.T) {
	doc := map[string]any{
		"tel":   "13800138000",
		"calls": []any{json.Number("13900139000"), json.Number("3"), 7, 1.5, true, nil},
		"nested": map[string]any{
			"access_token": "abc", "mail": "ann@example.com", "nick": "Ann",
			"note": "signed with s3cr3t-key, so", "order": json.Number("42"),
		},
		"x s3cr3t-key x": "as a name",
	}
	want := map[string]any{
		"tel":   "***00",
		"calls": []any{"***00", json.Number("3"), 7, 1.5, true, nil},
		"nested": map[string]any{
			"access_token": "***", "mail": "***", "nick": "Ann",
			"note": "signed with ***, so", "order": json.Number("42"),
		},
		"x *** x": "as a name",
	}
	if got := mask.Document(doc, []string{"s3cr3t-key", "", "a"}); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
	if doc["tel"] != "13800138000" {
		t.Error("the document itself was changed")
	}
}

// A document for people has an end.
func TestDocumentIsCut(t *testing.T) {
	many := make([]any, 100_000)
	wide := make(map[string]any)
	for i := range many {
		many[i] = map[string]any{"a": "b"}
		wide[strings.Repeat("k", i%7)+string(rune(0x4e00+i%20000))] = i
	}
	text, err := json.Marshal(mask.Document(map[string]any{"many": many, "wide": wide, "long": strings.Repeat("é", 10_000)}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 200_000 || !strings.Contains(string(text), "…") {
		t.Errorf("%d bytes", len(text))
	}
	if got := mask.Hide("", strings.Repeat("x", 4090)+" ann@example.com and 13800138000", nil); strings.Contains(got, "ann") || strings.Contains(got, "138") {
		t.Errorf("half of an address is left: %s", got[4080:])
	}
	if got := mask.Hide("nick", strings.Repeat("é", 10_000), nil); len(got) > 5000 || !strings.HasSuffix(got, "…") {
		t.Errorf("%d bytes of a text", len(got))
	}
}
