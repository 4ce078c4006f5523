package issuer

import (
	"crypto/md5" //nolint:gosec // the protocol's signature
	"encoding/hex"
)

// signer tells whose sign-in it is, and with which secret it is signed: nil for
// no client of that key, nil for none of its secrets.
//
// What it does is the same for every request, so that its time tells nothing: a
// key that nobody has is compared with the dummy's secret, a client with one
// secret twice, and a sign of another form than 32 digits as one that is wrong.
func (all *clients) signer(key, timestamp, sign string) (c *client, with *secret) {
	c, known := all.byKey[key]
	if !known {
		c = all.dummy
	}
	got, formed := parseSign(sign)
	for n := range mostSecrets {
		s := c.secrets[n%len(c.secrets)]
		want := md5.Sum([]byte(key + timestamp + s.value)) //nolint:gosec // the protocol's signature
		if all.equal(got[:], want[:]) && formed {
			with = s
		}
	}
	if !known {
		return nil, nil
	}
	return c, with
}

// parseSign decodes a sign, which has one spelling: 32 digits of lower-case hex.
// The digest has its length whatever came.
func parseSign(sign string) (digest [md5.Size]byte, ok bool) {
	if len(sign) != hex.EncodedLen(len(digest)) {
		return digest, false
	}
	_, err := hex.Decode(digest[:], []byte(sign))
	return digest, err == nil && hex.EncodeToString(digest[:]) == sign
}

// md5Allowed tells whether MD5 works at all: GODEBUG=fips140=only makes it
// panic.
func md5Allowed() (ok bool) {
	defer func() { ok = recover() == nil }()
	md5.Sum(nil) //nolint:gosec // see above
	return true
}
