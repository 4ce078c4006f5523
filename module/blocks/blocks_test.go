package blocks_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/module/blocks"
)

type settings struct {
	Text, Word, Program string
	Words               []string
	Duration            caddy.Duration
	Size                int64
	OnOff               *bool
	Flag                bool
}

func read(text string) (s settings, err error) {
	d := caddyfile.NewTestDispenser(text)
	d.Next()
	r := blocks.New(d, "thing x")
	err = r.Read(blocks.Lines{
		"text": r.Text(&s.Text), "word": r.Word(&s.Word, "a", "b"), "program": r.Program(&s.Program), "words": r.Words(&s.Words),
		"duration": r.Duration(&s.Duration), "size": blocks.Size(r, &s.Size, 1<<20), "on_off": r.OnOff(&s.OnOff), "flag": r.Flag(&s.Flag),
	}, "words")
	return s, err
}

func TestRead(t *testing.T) {
	got, err := read("thing {\n text t\n word b\n program `{a: 1}`\n words x\n words y z\n duration 2s\n size 1KiB\n on_off off\n flag\n}")
	want := settings{"t", "b", "{a: 1}", []string{"y", "z"}, caddy.Duration(2 * time.Second), 1 << 10, new(false), true}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReadRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"other x":          "unrecognized subdirective 'other' of thing; known are duration, flag, on_off, program, size, text, word and words, at Testfile:2",
		"size 1\n size 2":  "size is already set in line 2",
		"text":             "wrong argument count",
		"text a b":         "wrong argument count",
		`text ""`:          "blank",
		"word c":           `word "c" is unknown; write a or b`,
		"program":          "program takes one jq program; put it in backquotes",
		"program @none.jq": "none.jq",
		"words":            "wrong argument count",
		"duration":         "wrong argument count",
		"duration 2":       `"2" is not a valid duration; write it like`,
		"duration -2s":     "durations must not be negative",
		"duration 0s":      "not a duration above 0",
		"size 0":           "not a size from 1B to 1.0MiB",
		"size 2MiB":        "not a size from 1B to 1.0MiB",
		"size":             "wrong argument count",
		"on_off maybe":     "on_off takes on or off",
		"flag x":           "wrong argument count",
		"flag {\n x\n }":   "`flag` takes no block; write all of its arguments on its own line, without `{`, at Testfile:2",
	} {
		if _, err := read("thing {\n " + line + "\n}"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
}
