package issuer

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// kind distinguishes access tokens from refresh tokens. A format that differs gets
// kinds of its own.
type kind byte

const (
	accessToken  kind = 1
	refreshToken kind = 2
)

// Where a token's parts begin. All tokens have the same length, and 69 bytes are
// base64 without padding.
const (
	atClient     = 1
	atFamily     = atClient + 8
	atGeneration = atFamily + 16
	atExpires    = atGeneration + 4
	atCode       = atExpires + 8
	tokenSize    = atCode + sha256.Size
	tokenLength  = tokenSize / 3 * 4
)

// familyID names a family of tokens: the hour of its sign-in, by which expired
// families are found, and a digest of the signature that it began with.
type familyID [16]byte

func (id familyID) hour() uint32 { return binary.BigEndian.Uint32(id[:4]) }

// issued is a token of ours, decoded: what it is, whose, of which generation of which
// family, until when, and the code over all that.
type issued [tokenSize]byte

// parseToken decodes a token. Only its code shows whether it is ours.
func parseToken(raw string) (t issued, ok bool) {
	if len(raw) != tokenLength {
		return t, false
	}
	var in [tokenLength]byte
	copy(in[:], raw)
	n, err := base64.RawURLEncoding.Strict().Decode(t[:], in[:])
	return t, err == nil && n == tokenSize && (t.kind() == accessToken || t.kind() == refreshToken)
}

// mint makes a token. The same parts give the same token: an answer can be
// repeated although it wasn't kept.
func mint(k kind, of lineage, generation uint32, expires time.Time, with *secret) string {
	var t issued
	t[0] = byte(k)
	copy(t[atClient:], of.client[:])
	copy(t[atFamily:], of.family[:])
	binary.BigEndian.PutUint32(t[atGeneration:], generation)
	binary.BigEndian.PutUint64(t[atExpires:], uint64(expires.UnixMilli()))
	code := with.mac(t.body())
	copy(t[atCode:], code[:])
	return base64.RawURLEncoding.EncodeToString(t[:])
}

// lineage is a family of one client. Both count everywhere: who holds a secret
// can make tokens that name any family, but only in its own name.
type lineage struct {
	client clientID
	family familyID
}

func (t *issued) kind() kind         { return kind(t[0]) }
func (t *issued) body() []byte       { return t[:atCode] }
func (t *issued) code() []byte       { return t[atCode:] }
func (t *issued) generation() uint32 { return binary.BigEndian.Uint32(t[atGeneration:]) }

func (t *issued) lineage() (l lineage) {
	copy(l.client[:], t[atClient:])
	copy(l.family[:], t[atFamily:])
	return l
}

func (t *issued) expires() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(t[atExpires:]))) //nolint:gosec // the bits are those of an int64
}
