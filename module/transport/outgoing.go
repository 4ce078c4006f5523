package transport

import (
	"bytes"
	"encoding/json"
	"hash/maphash"
	"io"
	"maps"
	"net/http"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// maxReplay is how many bytes of a request body are kept for a second try, and
// how large a body may be that the token is written into.
const maxReplay = 1 << 20

// outgoing is a request on its way to the API, for one try or two.
type outgoing struct {
	req *http.Request
	// body and trailer are those of the next try.
	body    io.ReadCloser
	trailer http.Header
	// announced is the client's trailer before the body has been read.
	announced http.Header
	record    *rewinder // nil: the body isn't recorded
	doc       *document // instead, when the token goes into the body
}

// prepare gets a request's body ready for as many tries as there may be. When
// it fails, it has closed the body.
func (t *Transport) prepare(out *outgoing, a *Attempt) (err error) {
	req := out.req
	if t.inject.Where == token.InBody {
		out.doc, err = readDocument(req, maxReplay)
		return err
	}
	if !out.hasBody() {
		return nil
	}
	limit := maxReplay
	if !t.replays(a) || req.ContentLength > maxReplay || req.GetBody != nil {
		limit = 0
	}
	var trailer func() http.Header
	if t.inject.Where == token.InHeader && req.Trailer != nil && (len(req.Trailer) > 0 || req.ContentLength < 0) {
		trailer = func() http.Header { return withoutTrailer(req.Trailer, t.inject.Name) }
		out.announced = trailer()
	}
	if limit == 0 && trailer == nil {
		return nil
	}
	out.record = newRewinder(req.Body, req.ContentLength, limit, trailer)
	return out.rewind()
}

// replays tells whether a second try is the transport's to make. Where it
// injects nothing, the token is somewhere in the handler's request.
func (t *Transport) replays(a *Attempt) bool {
	return !a.NoReplay && !a.Replayed && t.inject.Where != token.InNone
}

var numberSeed = maphash.MakeSeed()

// number stands for what the request asks: two requests for the same have the
// same number. Where the request depends on the token or the time, because it is
// signed, it is that of the caller's params.
func (out *outgoing) number(a *Attempt) uint64 {
	var h maphash.Hash
	h.SetSeed(numberSeed)
	_, _ = h.WriteString(out.req.Method + " " + out.req.URL.Host + out.req.URL.Path + "?")
	if a.NoReplay && a.Params != nil {
		if text, err := json.Marshal(a.Params); err == nil {
			_, _ = h.Write(text)
		}
		return h.Sum64()
	}
	_, _ = h.WriteString(out.req.URL.RawQuery + "\n")
	switch {
	case out.doc != nil:
		_, _ = h.Write(out.doc.text)
	case out.record != nil:
		_, _ = h.Write(out.record.recorded())
	case out.req.GetBody != nil:
		if body, err := out.req.GetBody(); err == nil {
			_, _ = io.CopyN(&h, body, maxReplay)
			_ = body.Close()
		}
	}
	return h.Sum64()
}

func (out *outgoing) hasBody() bool { return out.req.Body != nil && out.req.Body != http.NoBody }

// repeatable tells whether the body can be sent again, as far as it is known.
func (out *outgoing) repeatable() bool {
	return out.doc != nil || !out.hasBody() || out.req.GetBody != nil || out.record != nil && !out.record.isLost()
}

// rewind begins the body anew, for the next try. The try before must not be
// waited for any more.
func (out *outgoing) rewind() (err error) {
	switch {
	case out.doc != nil || !out.hasBody():
	case out.record != nil:
		out.trailer = maps.Clone(out.announced)
		out.body, err = out.record.view(out.trailer)
	case out.req.GetBody != nil:
		out.body, err = out.req.GetBody()
	default:
		err = errNotKept
	}
	return err
}

// settle says that no further try follows.
func (out *outgoing) settle() {
	if out.record != nil {
		out.record.settle()
	}
}

// sign makes the request of one try: a copy, with header and URL of its own,
// that holds the token.
func (t *Transport) sign(out *outgoing, tok *token.Token) (*http.Request, error) {
	try := out.req.WithContext(out.req.Context())
	try.Body, try.Trailer = out.body, out.trailer
	if record := out.record; record != nil && out.trailer == nil {
		// lets net/http repeat what a closing connection has not taken
		try.GetBody = func() (io.ReadCloser, error) { return record.view(nil) }
	}
	value := t.inject.Prefix + tok.Access + t.inject.Suffix
	switch t.inject.Where {
	case token.InHeader:
		try.Header = withHeader(try.Header, t.inject.Name, value)
	case token.InQuery:
		try.URL = new(*try.URL)
		try.URL.RawQuery = withParameter(try.URL.RawQuery, t.inject.Name, value)
	case token.InBody:
		if err := out.doc.writeInto(try, t.inject.Name, value); err != nil {
			return nil, err
		}
	}
	if t.rule.program != nil {
		if accept := try.Header["Accept-Encoding"]; accept != nil {
			if t.inject.Where != token.InHeader {
				try.Header = maps.Clone(try.Header)
			}
			try.Header["Accept-Encoding"] = readable(accept)
		}
	}
	return try, nil
}

// writeInto gives a request the document as its body, with the token in it.
func (d *document) writeInto(r *http.Request, name, value string) error {
	text, err := d.with(name, value)
	if err != nil {
		return err
	}
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	r.Body, _ = r.GetBody()
	r.ContentLength, r.TransferEncoding, r.Trailer = int64(len(text)), nil, nil
	r.Header = maps.Clone(r.Header)
	if r.Header == nil {
		r.Header = make(http.Header)
	}
	// digests of the body as it was
	for _, field := range []string{"Content-Length", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest", "Trailer"} {
		delete(r.Header, field)
	}
	if r.Header.Get("Content-Type") == "" {
		r.Header["Content-Type"] = []string{contentType}
	}
	return nil
}
