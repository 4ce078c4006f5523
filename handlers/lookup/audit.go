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

// Audit says that every lookup is written to the log.
type Audit struct {
	// The key of the hash that stands for whom was asked, with placeholders such
	// as {env.AUDIT_KEY}. The same key gives the same person the same hash.
	// Default: a random one for each start, which tells nobody anything later.
	Key string `json:"key,omitempty"`
}

// auditor is an Audit at work. A nil one writes nothing.
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

// note writes who asked, for whom, and what became of it. The subject is one
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
