package token

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// envelope is what lies in the storage: the record under AES-256-GCM. Whoever
// can read the storage learns nothing but the key's fingerprint, which tells a
// record of other credentials from a damaged one.
type envelope struct {
	Version int    `json:"version"`
	Key     string `json:"key"`
	Sealed  []byte `json:"sealed"`
}

var (
	errForeignKey = errors.New("the record is sealed with another key")
	errDamaged    = errors.New("the record is damaged")
)

// sealer seals and opens records. The storage key is authenticated with them,
// so a record that was moved to another key doesn't open.
type sealer struct {
	aead        cipher.AEAD
	fingerprint string
}

func newSealer(key [32]byte) *sealer {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // impossible: 32 bytes are AES-256
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // impossible: AES has the block size that GCM wants
	}
	sum := sha256.Sum256(append([]byte("key fingerprint\x00"), key[:]...))
	return &sealer{aead: aead, fingerprint: hex.EncodeToString(sum[:4])}
}

func (s *sealer) seal(r *record, key string) ([]byte, error) {
	plain, err := r.encode()
	if err != nil {
		return nil, fmt.Errorf("encoding the record: %w", err)
	}
	return json.Marshal(envelope{
		Version: recordVersion,
		Key:     s.fingerprint,
		Sealed:  s.aead.Seal(nil, nil, plain, []byte(key)), //nolint:gosec // this AEAD makes the nonce itself, and wants none
	})
}

func (s *sealer) open(b []byte, key string) (*record, error) {
	var e envelope
	if err := unmarshal(b, &e); err != nil {
		return nil, errDamaged
	}
	if e.Version != recordVersion {
		return nil, errVersion
	}
	if e.Key != s.fingerprint {
		return nil, errForeignKey
	}
	plain, err := s.aead.Open(nil, nil, e.Sealed, []byte(key))
	if err != nil {
		return nil, errDamaged
	}
	r, err := decodeRecord(plain)
	if err != nil && !errors.Is(err, errVersion) {
		return nil, errDamaged // the decoder's own words could quote a token
	}
	return r, err
}

// unmarshal decodes exactly one JSON value and keeps numbers as written, so
// what a keep program kept is the same after a restart.
func unmarshal(b []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(to); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errDamaged
	}
	return nil
}
