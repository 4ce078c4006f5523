package console

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

const (
	// pageHeader can only be sent by a page of the same origin: a browser asks
	// before it sends it to another origin.
	pageHeader = "X-Switchboard-Console"
	// bodyTime is how long a body may take to arrive, and maxBody its maximum
	// size.
	bodyTime = 10 * time.Second
	maxBody  = 1 << 20
)

// origins checks by Sec-Fetch-Site and Origin that a request comes from our own
// origin.
var origins = http.NewCrossOriginProtection()

// read reads the JSON body of a POST. It refuses requests that another site makes a
// browser send.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Method != http.MethodPost:
		return nil, refused(http.StatusMethodNotAllowed, "use POST")
	case r.Header.Get(pageHeader) == "":
		return nil, refused(http.StatusForbidden, "the header "+pageHeader+" is missing")
	case origins.Check(r) != nil:
		return nil, refused(http.StatusForbidden, "the request comes from another site")
	case media != "application/json":
		return nil, refused(http.StatusUnsupportedMediaType, "send application/json")
	}
	ctx, cancel := context.WithTimeout(r.Context(), bodyTime)
	defer cancel()
	defer call.AbortReads(ctx, w)()
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, refused(http.StatusBadRequest, "the body could not be read")
	case len(body) > maxBody:
		return nil, refused(http.StatusRequestEntityTooLarge, "the body is longer than 1 MiB")
	}
	return body, nil
}

func refused(status int, why string) error {
	return caddy.APIError{HTTPStatus: status, Err: errors.New(why)}
}

// refusal responds with an error of the operator or of this handler.
func refusal(w http.ResponseWriter, err error) error {
	if refused, ok := errors.AsType[caddy.APIError](err); ok {
		if refused.HTTPStatus == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		return fail(w, refused.HTTPStatus, refused.Err.Error())
	}
	return fail(w, http.StatusInternalServerError, "something went wrong")
}

func fail(w http.ResponseWriter, status int, why string) error {
	return answerAs(w, status, map[string]string{"error": why})
}

func answer(w http.ResponseWriter, v any) error { return answerAs(w, http.StatusOK, v) }

func answerAs(w http.ResponseWriter, status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may have disconnected
	return nil
}
