package storage

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
)

// envelope is what lies in the storage: the record under AES-256-GCM. Whoever
// can read the storage learns nothing but the key's fingerprint, which distinguishes
// a record of other credentials from a damaged one.
type envelope struct {
	Version int    `json:"version"`
	Key     string `json:"key"`
	Sealed  []byte `json:"sealed"`
}

// envelopeVersion is written into every envelope; another version is not read.
const envelopeVersion = 1

// ErrForeignKey says that a record was made with other credentials.
var ErrForeignKey = errors.New("the record is sealed with another key")

// Sealer seals and opens records. The storage key is authenticated with them,
// so a record that was moved to another key doesn't open.
type Sealer struct {
	aead        cipher.AEAD
	fingerprint string
}

// NewSealer makes the sealer of a key.
func NewSealer(key [32]byte) *Sealer {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // impossible: 32 bytes are AES-256
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // impossible: AES has the block size that GCM wants
	}
	sum := sha256.Sum256(append([]byte("key fingerprint\x00"), key[:]...))
	return &Sealer{aead: aead, fingerprint: hex.EncodeToString(sum[:4])}
}

// Seal encrypts a record that will be stored under the key.
func (s *Sealer) Seal(record []byte, key string) ([]byte, error) {
	return json.Marshal(envelope{
		Version: envelopeVersion,
		Key:     s.fingerprint,
		Sealed:  s.aead.Seal(nil, nil, record, []byte(key)), //nolint:gosec // this AEAD makes the nonce itself, and wants none
	})
}

// Open decrypts what Seal has made for the same key.
func (s *Sealer) Open(b []byte, key string) ([]byte, error) {
	var e envelope
	if err := Decode(b, &e); err != nil {
		return nil, ErrDamaged
	}
	if e.Version != envelopeVersion {
		return nil, ErrVersion
	}
	if e.Key != s.fingerprint {
		return nil, ErrForeignKey
	}
	record, err := s.aead.Open(nil, nil, e.Sealed, []byte(key))
	if err != nil {
		return nil, ErrDamaged
	}
	return record, nil
}

// Decode decodes exactly one JSON value and keeps numbers as written. Its error is
// ErrDamaged: the decoder's own words could quote a token.
func Decode(b []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if dec.Decode(to) != nil {
		return ErrDamaged
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return ErrDamaged
	}
	return nil
}
