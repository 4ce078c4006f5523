// Package once keeps the records of writes that must happen once, in Caddy's storage.
//
// A record is written before its write is sent, under the storage's lock, and
// completed when the API has answered. Whoever finds a record doesn't send: it has
// the answer, or says that somebody may have sent the write. So a process that is
// killed between the two leaves a write whose result is unknown, and never one that is sent
// twice.
//
// Records are sealed with a key that is derived from the API's credentials. Their
// names in the storage are digests of the API's name and the write's key, so that a
// record is found whatever it is sealed with.
package once

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/module/storage"
)

// MaxKey is the maximum size of a write's key in bytes.
const MaxKey = 256

// MaxTTL is the longest time for which a write is remembered.
const MaxTTL = 744 * time.Hour

// MaxAnswer is the maximum size of an answer that is kept, in bytes.
const MaxAnswer = 1 << 20

// maxRecord is more than any record of ours needs.
const maxRecord = MaxAnswer + 16<<10

// Record is what is known of a write.
type Record struct {
	Version int `json:"version"`
	// Key is the write's key.
	Key string `json:"key"`
	// Request is a digest of what the write asks for. A repeat asks for the same.
	Request string `json:"request"`
	// Attempt identifies the call that sends the write.
	Attempt string `json:"attempt"`
	// Sent is when the record was made, just before the write was sent.
	Sent time.Time `json:"sent"`
	// Until is when that call has ended at the latest. If there is no outcome by
	// then, its process was killed.
	Until time.Time `json:"until"`
	// Expires is when the record no longer counts.
	Expires time.Time `json:"expires"`
	// Outcome is how the write ended, "" while it is under way. It is call.Unknown
	// if the API may have acted.
	Outcome call.Outcome `json:"outcome,omitempty"`
	// Cause is the outcome of a call whose write has an unknown result.
	Cause call.Outcome `json:"cause,omitempty"`
	// Status is the HTTP status of the answer, 0 for the outcome's default.
	Status int `json:"status,omitempty"`
	// Answer is the shaped answer in JSON, before contract and format.
	Answer json.RawMessage `json:"answer,omitempty"`
}

const recordVersion = 1

// ErrUnreadable says that there is a record, but not what it says: it is damaged,
// sealed with other credentials, or of another version. Its write may have been sent.
var ErrUnreadable = errors.New("the record can't be read")

// UnderWay reports whether the call that sends the write may still run.
func (r *Record) UnderWay(now time.Time) bool { return r.Outcome == "" && now.Before(r.Until) }

// prefix is that of all records.
const prefix = "switchboard-once"

// folder is where the records of an API are. Its name and those in it are hex only:
// storage modules sanitise names in ways of their own.
func folder(api string) string { return prefix + "/" + digest("api", api)[:16] }

// nameOf is the name of a record in the storage. The records of an API are in 256
// folders, so that none has to be listed at once.
func (s *Store) nameOf(key string) string {
	sum := digest("write", s.api, key)
	return s.folder + "/" + sum[:2] + "/" + sum[2:50]
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// A record's file begins with fileMark, which has the version, and its expiry, in clear,
// as Unix nanoseconds of 8 bytes, so that expired records of APIs that are no longer
// configured can be deleted. The seal holds the expiry, too.
const (
	fileMark   = "once\x01"
	fileHeader = len(fileMark) + 8
)

// seal returns the file of a record under a name.
func (s *Store) seal(r *Record, name string) ([]byte, error) {
	r.Version = recordVersion
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // or else an answer may grow sixfold
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("encoding the record: %w", err)
	}
	b := binary.BigEndian.AppendUint64([]byte(fileMark), uint64(r.Expires.UnixNano()))
	return append(b, s.sealer.SealBytes(text.Bytes(), name)...), nil
}

// open returns the record in a file, or nil if it has expired. Its error wraps
// ErrUnreadable.
func (s *Store) open(b []byte, name string, now time.Time) (*Record, error) {
	if len(b) < fileHeader || string(b[:len(fileMark)]) != fileMark {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, storage.ErrDamaged)
	}
	expires := int64(binary.BigEndian.Uint64(b[len(fileMark):])) //nolint:gosec // as it was written
	expired := now.UnixNano() >= expires
	text, err := s.sealer.OpenBytes(b[fileHeader:], name)
	if errors.Is(err, storage.ErrForeignKey) && expired {
		return nil, nil
	}
	r := new(Record)
	switch {
	case err != nil:
	case json.Unmarshal(text, r) != nil, r.Expires.UnixNano() != expires: // nothing else in the file is in clear
		err = storage.ErrDamaged
	case r.Version != recordVersion:
		err = storage.ErrVersion
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	case expired:
		return nil, nil
	default:
		return r, nil
	}
}
