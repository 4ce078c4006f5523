package answer

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Phone systems are data: one file each, with the source and date of its
// limits.
//
//go:embed systems/*.json
var systemFiles embed.FS

var builtIn = sync.OnceValue(func() []*System {
	entries, err := systemFiles.ReadDir("systems") // sorted by name
	if err != nil {
		panic(err) // part of the binary
	}
	all := make([]*System, 0, len(entries))
	for _, entry := range entries {
		text, err := systemFiles.ReadFile(path.Join("systems", entry.Name()))
		if err != nil {
			panic(err) // part of the binary
		}
		s, err := ParseSystem(text)
		if err != nil {
			panic(fmt.Errorf("%s: %w", entry.Name(), err)) // a test parses them all
		}
		all = append(all, s)
	}
	return all
})

// Systems returns the phone systems that are built in, sorted by name.
func Systems() []*System { return slices.Clone(builtIn()) }

// FindSystem returns the built-in phone system of that name. The error names
// them all.
func FindSystem(name string) (*System, error) {
	var names []string
	for _, s := range builtIn() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("phone system %q is unknown; there are %s", name, strings.Join(names, ", "))
}

// systemFile is a data file.
type systemFile struct {
	Name       string            `json:"name"`
	Title      string            `json:"title"`
	Format     string            `json:"format"`
	Limit      int               `json:"limit"`
	FieldLimit int               `json:"field_limit"`
	NoNull     bool              `json:"no_null"`
	Object     bool              `json:"object"`
	Filter     []string          `json:"filter"`
	Wait       string            `json:"wait"`
	Budget     string            `json:"budget"`
	OnFailure  string            `json:"on_failure"`
	Voice      bool              `json:"voice"`
	Tested     bool              `json:"tested"`
	Test       string            `json:"test"`
	Why        map[string]string `json:"why"`
	Notes      []string          `json:"notes"`
	Unknown    []string          `json:"unknown"`
	Sources    []Source          `json:"sources"`
}

// ParseSystem reads a data file. Fields that it doesn't know are errors.
func ParseSystem(text []byte) (*System, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var f systemFile
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind the object")
	}
	format, err := ParseFormat(f.Format)
	if err != nil {
		return nil, err
	}
	onError, err := ParseOnFailure(f.OnFailure)
	if err != nil {
		return nil, err
	}
	wait, err := parseDuration("wait", f.Wait)
	if err != nil {
		return nil, err
	}
	budget, err := parseDuration("budget", f.Budget)
	if err != nil {
		return nil, err
	}
	return NewSystem(System{
		Name: f.Name, Title: f.Title,
		Format: format, Limit: f.Limit, FieldLimit: f.FieldLimit, NoNull: f.NoNull, Object: f.Object, Filter: f.Filter,
		Wait: wait, Budget: budget, OnError: onError, Voice: f.Voice, Tested: f.Tested, Test: f.Test,
		Why: f.Why, Notes: f.Notes, Unknown: f.Unknown, Sources: f.Sources,
	})
}

// ParseOnFailure reads what a call without an answer gives: `default`, which
// is also the default, or `error`.
func ParseOnFailure(s string) (onError bool, err error) {
	switch s {
	case "", "default":
		return false, nil
	case "error":
		return true, nil
	}
	return false, fmt.Errorf("on_failure %q is unknown; write default or error", s)
}

func parseDuration(name, s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}
