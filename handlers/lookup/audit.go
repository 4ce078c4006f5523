package lookup

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// Audit configures the audit log, which has a line for every lookup.
type Audit struct {
	// The key of the hash of the subject, with placeholders such as
	// {env.AUDIT_KEY}. With the same key, a person always has the same hash.
	// Default: a random key for each start, so that hashes can't be compared
	// later.
	Key string `json:"key,omitempty"`
}

// auditor is a provisioned Audit. A nil auditor writes nothing.
type auditor struct {
	key    []byte
	logger *zap.Logger
}

func (a *Audit) provision(logger *zap.Logger) (*auditor, error) {
	if a == nil {
		return nil, nil
	}
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	if a.Key != "" {
		resolved, err := caddy.NewReplacer().ReplaceOrErr(a.Key, true, true)
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		if len(resolved) < 16 {
			return nil, errors.New("audit: the key is shorter than 16 bytes; make one with `openssl rand -hex 16`")
		}
		key = []byte(resolved)
	}
	return &auditor{key: key, logger: logger.Named("audit")}, nil
}

// note logs who asked, about whom, and how the lookup ended. The subject is one
// hash for each parameter that was given.
func (a *auditor) note(c *run) {
	if a == nil {
		return
	}
	subjects := make(map[string]string, len(c.query))
	for _, condition := range c.query {
		value := condition.Key
		if value == "" {
			value = condition.Raw
		}
		mac := hmac.New(sha256.New, a.key)
		_, _ = mac.Write([]byte(string(condition.Param) + "\x00" + value))
		subjects[string(condition.Param)] = hex.EncodeToString(mac.Sum(nil)[:16])
	}
	a.logger.Info("customer lookup",
		zap.String("client", c.call.Principal),
		zap.Any("subject", subjects),
		zap.Strings("fields", c.lookup.Fields),
		zap.String("outcome", string(c.call.Outcome)),
		zap.String("call_id", c.call.ID),
	)
}
