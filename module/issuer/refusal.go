package issuer

import (
	"context"
	"errors"

	"go.uber.org/zap"
)

// Pair is what obtain and refresh give.
type Pair struct {
	AccessToken  string
	RefreshToken string
	ExpiresIn    int64 // seconds that the access token is good
}

// ErrRefused is every refusal. Why, only the log tells: one answer for all
// keeps somebody who tries from learning what was right already.
var ErrRefused = errors.New("refused")

// ErrUnavailable says that the storage doesn't answer, so nobody can tell. The
// client may come again a moment later.
var ErrUnavailable = errors.New("the storage of tokens doesn't answer")

// refusedError is why something was refused, as the log says it. It is never
// part of an answer.
type refusedError string

const (
	errMalformed         refusedError = "malformed"
	errUnknownClient     refusedError = "unknown_client"
	errWrongSign         refusedError = "wrong_sign"
	errWrongTime         refusedError = "wrong_time"
	errReplayed          refusedError = "replayed"
	errForged            refusedError = "forged"
	errWrongKind         refusedError = "wrong_kind"
	errExpired           refusedError = "expired"
	errSuperseded        refusedError = "superseded"
	errReused            refusedError = "reused"
	errUnknownFamily     refusedError = "unknown_family"
	errUnknownGeneration refusedError = "unknown_generation"
	errRevoked           refusedError = "revoked"
)

func (r refusedError) Error() string { return "refused: " + string(r) }

// outcome logs how an obtain or a refresh ended, and gives the error that the
// caller may see. A client is named only when it is one of ours.
func (i *Issuer) outcome(ctx context.Context, what string, c *client, err error) error {
	log := i.logger
	if c != nil {
		log = log.With(zap.String("client", c.key))
	}
	if err == nil {
		log.Debug(what + " granted")
		return nil
	}
	if why, ok := errors.AsType[refusedError](err); ok {
		log.Info(what+" refused", zap.String("reason", string(why)))
		return ErrRefused
	}
	if ctx.Err() != nil {
		return ctx.Err() // nobody waits for the answer
	}
	log.Warn(what+" failed", zap.Error(err))
	return ErrUnavailable
}
