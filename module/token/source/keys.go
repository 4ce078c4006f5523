package source

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/sign"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// checkKeys checks the credentials of a source by themselves, and as the keys of its
// own programs.
func (s *Source) checkKeys(p *plan) error {
	if err := s.checkPEM(); err != nil {
		return err
	}
	return s.CheckKeys(slices.Concat(p.obtainCall.all(), p.refreshCall.all())...)
}

// checkPEM refuses a credential that begins like a key in PEM and isn't one.
func (s *Source) checkPEM() error {
	for _, name := range slices.Sorted(maps.Keys(s.CredentialValues)) {
		if err := sign.CheckPEM(s.value(name)); err != nil {
			return wrong("credential "+name, err)
		}
	}
	return nil
}

// CheckKeys refuses a credential that a program signs with, and that the
// algorithm can't use. It signs a trial text with each; keys and algorithms that
// the program computes otherwise are not checked. The error names the
// credential, never its value. Before Provision, a credential that can't be
// resolved counts as right.
func (s *Source) CheckKeys(programs ...*jq.Program) error {
	for _, program := range programs {
		for _, signing := range program.Signings() {
			if err := s.checkKey(signing); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Source) checkKey(signing jq.Signing) error {
	algorithmName, algorithm := s.constant(signing.Algorithm)
	keyName, key := s.constant(signing.Key)
	if algorithm == "" || key == "" || keyName == "" {
		return nil
	}
	fitting := sign.Fitting(key)
	isPrivate := len(fitting) > 0 && !sign.Secret(fitting[0])
	switch {
	case sign.Known(algorithm):
	case isPrivate:
		return wrongf("credential "+algorithmName, "%q is not an algorithm; this key fits %s", algorithm, strings.Join(fitting, ", "))
	default:
		return wrongf("credential "+algorithmName, "%q is not an algorithm; write HS, RS, PS or ES with 256, 384 or 512, as in RS256, or EdDSA", algorithm)
	}
	_, err := sign.Sign(algorithm, key, nil)
	if err == nil {
		return nil
	}
	if isPrivate {
		return wrongf("credential "+keyName, "%s can't use it: %w; this key fits %s", algorithm, err, strings.Join(fitting, ", "))
	}
	return wrongf("credential "+keyName, "%s can't use it: %w; write the whole file that begins with -----BEGIN PRIVATE KEY-----, e.g. as {file./run/secrets/key.pem}", algorithm, err)
}

// constant returns the value of the first of a program's literals and variables that
// has one, and the name of the credential that it is. A variable that isn't a
// credential has none.
func (s *Source) constant(constants []string) (name, value string) {
	for _, constant := range constants {
		name, isVariable := strings.CutPrefix(constant, "$")
		if !isVariable {
			return "", constant
		}
		if _, given := s.CredentialValues[name]; given {
			return name, s.value(name)
		}
	}
	return "", ""
}

// value returns a credential's value; before Provision, "" for one that can't be
// resolved.
func (s *Source) value(name string) string {
	if s.values != nil {
		return s.values[name]
	}
	value, err := token.Resolve(caddy.NewReplacer(), s.CredentialValues[name])
	if err != nil {
		return ""
	}
	return value
}
