package token

import "time"

// policy is what the keeper needs to know of a source besides its endpoint.
type Policy struct {
	// name is the source's name in the configuration.
	Name string
	// lifetime counts when an answer states none; 0 = not configured.
	Lifetime time.Duration
	// refreshBefore is the window before the expiry; 0 = use refreshFraction.
	RefreshBefore time.Duration
	// refreshFraction is the window as a part of the lifetime, in (0, 0.5].
	RefreshFraction float64
	// mustDiffer: an unchanged token is a failed refresh.
	MustDiffer bool
	// warm: obtain at start.
	Warm bool
	// retryRefused is the wait after a refused sign-in.
	RetryRefused time.Duration
	// timeout bounds one call of the endpoint.
	Timeout time.Duration
	// identity is the hex SHA-256 of what determines the token: endpoint URLs,
	// credentials, programs. The keys of pool and vault derive from it.
	Identity string
	// sealKey seals records in the vault; derived from the credentials.
	SealKey [32]byte
	// seed is the configured refresh token of a source that can't obtain.
	Seed string
	// static is a fixed token; such a source has no endpoint.
	Static string
}
