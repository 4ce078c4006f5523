package endpoint

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// rooms are for answers before they are sent.
var scratch = sync.Pool{New: func() any { return new([2048]byte) }}

// Answer writes what the phone system gets: the answer, what stands in for it,
// or an error in one line. Room is where to write it before it is sent; it may
// be nil.
func (c *Call) Answer(room []byte) error {
	if c.Outcome == call.Canceled {
		c.W.WriteHeader(call.Canceled.Status())
		return nil
	}
	if room == nil && c.text == nil {
		own := scratch.Get().(*[2048]byte)
		defer scratch.Put(own)
		room = own[:0]
	}
	if c.Outcome.Answered() {
		text, err := c.text, error(nil)
		if text == nil {
			text, err = c.Render(room)
		}
		if err == nil {
			status := http.StatusOK
			if c.Status != 0 {
				status = c.Status
			}
			return c.write(status, c.Route.Style.ContentType(), text)
		}
		c.Status, c.Uncharged = 0, c.Uncharged || c.FromCaller
		c.Fail(outcomeOfFormat(err), err.Error())
	}
	if c.answersError() {
		return c.writeError()
	}
	c.Output, c.text = c.Route.defaults(), nil
	text, err := c.Render(room)
	if err != nil { // can't be: Provision has rendered it
		return c.writeError()
	}
	return c.write(http.StatusOK, c.Route.Style.ContentType(), text)
}

// answersError reports whether the call is answered with an error, and not with
// the contract.
func (c *Call) answersError() bool {
	return !c.Outcome.Answered() && (c.Outcome == call.BadRequest || c.Outcome == call.Unauthorized || c.Route.OnError)
}

// Render writes the output under the contract, in the route's format.
func (c *Call) Render(room []byte) ([]byte, error) {
	v, err := c.fit()
	if err != nil {
		return nil, err
	}
	return c.Route.Style.Append(room, v)
}

// fit brings what the call gave into the contract: every key is there, and the
// outcome with them, where the route has a field for it. Null has no room for one,
// and a text is one value.
func (c *Call) fit() (v any, err error) {
	r := c.Route
	v = c.Output
	if r.Contract != nil {
		if v, err = r.Contract.Apply(r.named(v), r.Style.Format); err != nil {
			return nil, err
		}
	}
	object, ok := v.(map[string]any)
	if r.StatusField == "" || r.Style.Format == answer.Text || !ok || object == nil {
		return v, nil
	}
	object[r.StatusField] = string(c.Outcome)
	delete(object, "_age") // which is ours
	if c.Outcome == call.Stale {
		object["_age"] = int(c.age / time.Second)
	}
	return object, nil
}

// named gives a single value the name that it has under the contract: as text,
// the contract has only one.
func (r *Route) named(v any) any {
	if _, isObject := v.(map[string]any); isObject || v == nil || r.Style.Format != answer.Text {
		return v
	}
	if keys := r.Contract.Keys(); len(keys) == 1 {
		return map[string]any{keys[0]: v}
	}
	return v
}

// Try renders what stands in for an answer, with the longest outcome: it is
// what remains when everything else has failed. It warns of a contract that
// leaves little room for values.
func (r *Route) CheckContract() error {
	contract := r.Contract
	if object, ok := r.defaults().(map[string]any); ok && contract == nil {
		contract = answer.NewContract(object) // the fields of a lookup are one, too
	}
	if contract != nil {
		if err := fits(&r.Style, contract, r.StatusField); err != nil {
			return err
		}
		if tight := r.Style.Warn(contract, r.StatusField); tight != "" {
			r.Logger.Warn(tight, zap.String("api", r.Name))
		}
	}
	trial := Call{Route: r, Outcome: call.BreakerOpen, Output: r.defaults()}
	if _, err := trial.Render(nil); err != nil {
		return errors.New("default can't be written as " + r.Style.Format.String() + ": " + err.Error())
	}
	return nil
}

func fits(style *answer.Style, contract *answer.Contract, statusField string) error {
	if statusField != "" && slices.Contains(contract.Keys(), statusField) {
		return fmt.Errorf("default has the key %s, which holds the outcome; give the key another name, or write `status_field NAME`", statusField)
	}
	if err := style.Fits(contract, statusField); err != nil {
		return fmt.Errorf("default can't be written as %s: %w", style.Format, err)
	}
	return nil
}

func (r *Route) defaults() any {
	if r.Defaults == nil {
		return nil
	}
	return r.Defaults()
}

func outcomeOfFormat(err error) call.Outcome {
	if errors.Is(err, jsonval.ErrTooLarge) {
		return call.TooLarge
	}
	return call.BadAnswer
}

func (c *Call) write(status int, contentType string, text []byte) error {
	header := c.W.Header()
	header["Content-Type"] = []string{contentType}
	header["Content-Length"] = []string{strconv.Itoa(len(text))}
	header["Cache-Control"] = []string{"no-store"}
	c.Describe(header)
	c.W.WriteHeader(status)
	_, err := c.W.Write(text)
	return err
}

// message says to people what an outcome means. A reason that may hold details
// goes to the log, not to the caller.
func (c *Call) message() string {
	subject := c.Route.Subject
	switch c.Outcome {
	case call.Timeout:
		return subject + " did not answer in time"
	case call.Unreachable:
		return subject + " could not be reached"
	case call.Rejected:
		return subject + " refused the request"
	case call.Failed:
		return subject + " has a fault of its own"
	case call.NoToken:
		return "no token for " + subject
	case call.TokenRefused:
		return subject + " does not accept our token"
	case call.Incomplete:
		return c.Reason
	case call.BadAnswer:
		return subject + "'s answer could not be used"
	case call.TooLarge:
		return subject + "'s answer is too large"
	case call.BreakerOpen:
		return subject + " failed too often and is not asked for a while"
	case call.Held:
		return subject + " is not asked at present"
	case call.Unauthorized:
		return "authentication required"
	case call.BadRequest:
		return c.Reason
	default:
		return ""
	}
}

func (c *Call) writeError() error {
	status := c.Status
	if status == 0 {
		status = c.Outcome.Status()
	}
	if c.Outcome == call.Unauthorized && c.Route.Gate.Challenge() != "" {
		c.W.Header().Set("Www-Authenticate", c.Route.Gate.Challenge())
	}
	if c.RetryAfter > 0 {
		seconds := (c.RetryAfter + time.Second - 1) / time.Second
		c.W.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	return c.write(status, c.Route.errors.ContentType(), c.errorText())
}

// errorText is an error in one line. Where the phone system takes less than
// that, it is without its message, or nothing at all: the status remains.
func (c *Call) errorText() []byte {
	says := map[string]any{"outcome": string(c.Outcome), "message": c.message()}
	text, err := c.Route.errors.Append(nil, map[string]any{"error": says})
	if err == nil {
		return text
	}
	delete(says, "message")
	text, _ = c.Route.errors.Append(nil, map[string]any{"error": says})
	return text
}
