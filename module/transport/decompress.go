package transport

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// Why a body could not be decompressed, besides jsonval.ErrTooLarge.
var (
	ErrEncoding = errors.New("the body has a content encoding that can't be read")
	ErrCorrupt  = errors.New("the body is not what its content encoding says")
)

// maxWindow bounds what a zstd decoder allocates for a frame. It is the largest
// window that HTTP allows (RFC 9659).
const maxWindow = 8 << 20

var (
	gzips = sync.Pool{New: func() any { return new(gzip.Reader) }}
	zstds = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecodeAllCapLimit(true)) // no more than there is room for
		if err != nil {
			panic(err) // the options are constant
		}
		return d
	}}
)

// Decompress undoes a Content-Encoding: gzip, zstd, or none. The error is
// jsonval.ErrTooLarge when the result is longer than limit bytes (reliability J1),
// ErrEncoding for any other encoding, and ErrCorrupt. Without an encoding the
// result is body itself; else its memory is reserved in room, which may be nil, with
// the errors of [jsonval.Room.Reserve].
func Decompress(body []byte, encoding string, limit int64, room *jsonval.Room) ([]byte, error) {
	switch coding(encoding) {
	case "", "identity":
		if int64(len(body)) > limit {
			return nil, jsonval.ErrTooLarge
		}
		return body, nil
	case "gzip", "x-gzip":
		z := gzips.Get().(*gzip.Reader)
		defer gzips.Put(z)
		if z.Reset(bytes.NewReader(body)) != nil {
			return nil, ErrCorrupt
		}
		return gunzip(z, body, limit, room)
	case "zstd":
		z := zstds.Get().(*zstd.Decoder)
		defer zstds.Put(z)
		return unzstd(z, body, limit, room)
	default:
		return nil, ErrEncoding
	}
}

func gunzip(z *gzip.Reader, body []byte, limit int64, room *jsonval.Room) (out []byte, err error) {
	var reserved int64
	for {
		if out, reserved, err = room.AppendRoom(out, 1, min(4*int64(len(body)), limit+1), reserved); err != nil {
			return nil, err
		}
		n, err := z.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case int64(len(out)) > limit:
			return nil, jsonval.ErrTooLarge
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, ErrCorrupt
		}
	}
}

// unzstd decompresses in one go: the output is the window then, which would take
// up to maxWindow else. Where the size isn't known, it tries larger and larger ones.
func unzstd(z *zstd.Decoder, body []byte, limit int64, room *jsonval.Room) (out []byte, err error) {
	var reserved int64
	for size := min(max(4*int64(len(body)), 4<<10), limit); ; size = min(4*size, limit) {
		if out, reserved, err = room.AppendRoom(nil, int(size), 0, reserved); err != nil {
			return nil, err
		}
		out, err = z.DecodeAll(body, out)
		switch {
		case err == nil && int64(len(out)) <= limit:
			return out, nil
		case err != nil && !errors.Is(err, zstd.ErrDecoderSizeExceeded):
			return nil, ErrCorrupt
		case size == limit:
			return nil, jsonval.ErrTooLarge
		}
	}
}

// coding gives the name of a content coding one spelling.
func coding(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// readable narrows an Accept-Encoding to what Decompress understands, so that
// no client can hide the API's answer from token_expired (reliability H1).
func readable(accept []string) []string {
	var kept []string
	for _, line := range accept {
		for member := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(member, ";")
			switch coding(name) {
			case "gzip", "x-gzip", "zstd", "identity":
				kept = append(kept, strings.TrimSpace(member))
			}
		}
	}
	if kept == nil {
		return []string{"identity"}
	}
	return []string{strings.Join(kept, ", ")}
}
