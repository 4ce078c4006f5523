package call

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// Limits bound what a phone system may send. Zero fields take the defaults,
// which no phone system comes near.
type Limits struct {
	Query  int   // bytes of the query string; default 64 KiB
	Body   int64 // bytes of the body; default 1 MiB
	Params int   // parameters of query, form and JSON body, each; default 1000
	Depth  int   // of a JSON body; default 100

	// Room is what the memory of large bodies is reserved in. Default: none.
	Room *jsonval.Room
}

func (l Limits) orDefaults() Limits {
	return Limits{
		Query:  cmp.Or(l.Query, 64<<10),
		Body:   cmp.Or(l.Body, 1<<20),
		Params: cmp.Or(l.Params, 1000),
		Depth:  cmp.Or(l.Depth, 100),
		Room:   l.Room,
	}
}

// InputError is a request that is refused before anything is done for it; its
// outcome is [BadRequest].
type InputError struct {
	// Status is what the phone system gets: 400, 408, 413, 414, 415, 431 or 503.
	Status int
	// Message is one line that says what is wrong. It holds nothing of what
	// was sent.
	Message string
}

func (e *InputError) Error() string { return e.Message }

func refuse(status int, format string, args ...any) *InputError {
	return &InputError{Status: status, Message: fmt.Sprintf(format, args...)}
}

// reserve reserves memory for what was sent.
func (l Limits) reserve(purpose jsonval.Purpose, n int) error {
	return refuseMemory(l.Room.Reserve(purpose, int64(n)))
}

func refuseMemory(err error) error {
	switch {
	case errors.Is(err, jsonval.ErrNoRoom):
		return refuse(http.StatusServiceUnavailable, "too many large requests at once")
	case errors.Is(err, jsonval.ErrTooMuch):
		return refuse(http.StatusRequestEntityTooLarge, "body: takes too much memory")
	default:
		return err
	}
}
