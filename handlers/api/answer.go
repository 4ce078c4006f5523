package api

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// answer writes what the phone system gets: the API's answer, the default, or
// an error in one line.
func (c *run) answer() error {
	if c.recorder.passing {
		return nil
	}
	if c.outcome == call.Canceled {
		c.w.WriteHeader(call.Canceled.Status())
		return nil
	}
	if c.outcome.Answered() {
		text, err := c.render()
		if err == nil {
			return c.write(http.StatusOK, c.api.format.ContentType(), text)
		}
		c.fail(outcomeOfFormat(err), err.Error())
	}
	if c.outcome == call.BadRequest || c.outcome == call.Unauthorized || c.api.onError {
		return c.writeError()
	}
	c.output = nil
	text, err := c.render()
	if err != nil { // can't be: Provision has rendered the default
		return c.writeError()
	}
	return c.write(http.StatusOK, c.api.format.ContentType(), text)
}

func (c *run) render() ([]byte, error) {
	v, err := c.fit()
	if err != nil {
		return nil, err
	}
	return c.api.format.Append(c.recorder.spare(), v)
}

func outcomeOfFormat(err error) call.Outcome {
	if errors.Is(err, jq.ErrTooLarge) {
		return call.TooLarge
	}
	return call.BadAnswer
}

func (c *run) write(status int, contentType string, text []byte) error {
	header := c.w.Header()
	header["Content-Type"] = []string{contentType}
	header["Content-Length"] = []string{strconv.Itoa(len(text))}
	header["Cache-Control"] = []string{"no-store"}
	c.describe(header)
	c.w.WriteHeader(status)
	_, err := c.w.Write(text) //nolint:gosec // the body is JSON, a form or plain text, and said to be: no browser reads it as HTML
	return err
}

// messages say to people what an outcome means. A reason that may hold details
// goes to the log, not to the caller.
var messages = map[call.Outcome]string{
	call.Timeout:      "the API did not answer in time",
	call.Unreachable:  "the API could not be reached",
	call.Rejected:     "the API refused the request",
	call.NoToken:      "no token for the API",
	call.BadAnswer:    "the API's answer could not be used",
	call.TooLarge:     "the API's answer is too large",
	call.Unauthorized: "authentication required",
}

func (c *run) writeError() error {
	status := c.status
	if status == 0 {
		status = c.outcome.Status()
	}
	message := messages[c.outcome]
	if c.outcome == call.Unauthorized && c.api.auth.challenge() != "" {
		c.w.Header().Set("Www-Authenticate", c.api.auth.challenge())
	}
	if c.outcome == call.BadRequest {
		message = c.reason
	}
	if lack, ok := errors.AsType[*token.NoTokenError](c.attempt.Err); ok && lack.RetryAfter > 0 {
		seconds := (lack.RetryAfter + time.Second - 1) / time.Second
		c.w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	text, err := answer.JSON.Append(nil, map[string]any{
		"error": map[string]any{"outcome": string(c.outcome), "message": message},
	})
	if err != nil {
		return err
	}
	return c.write(status, answer.JSON.ContentType(), text)
}
