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
	System
	Format    string `json:"format"`
	Wait      string `json:"wait"`
	Budget    string `json:"budget"`
	OnFailure string `json:"on_failure"`
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
	s := f.System
	var err error
	if s.Format, err = ParseFormat(f.Format); err != nil {
		return nil, err
	}
	if s.OnError, err = ParseOnFailure(f.OnFailure); err != nil {
		return nil, err
	}
	if s.Wait, err = parseDuration("wait", f.Wait); err != nil {
		return nil, err
	}
	if s.Budget, err = parseDuration("budget", f.Budget); err != nil {
		return nil, err
	}
	return NewSystem(s)
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
