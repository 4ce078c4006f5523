package jq

import "testing"

func TestRun(t *testing.T) {
	p, err := Compile(`{app_key: $app_key, sign: ("a" | md5)}`, Spec{Vars: []string{"app_key"}, Want: Object})
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Run(t.Context(), nil, "k")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Encode(nil, out, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), `{"app_key":"k","sign":"0cc175b9c0f1b6a831c399e269772661"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
