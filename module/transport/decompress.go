package transport

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/switchboard-ivr/switchboard/internal/jq"
)

// Why a body could not be decompressed, besides jq.ErrTooLarge.
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
		// one block at a time, because otherwise each decoder holds goroutines
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			panic(err) // the options are constant
		}
		return d
	}}
)

// Decompress undoes a Content-Encoding: gzip, zstd, or none. The error is
// jq.ErrTooLarge when the result is longer than limit bytes (reliability J1),
// ErrEncoding for any other encoding, and ErrCorrupt. Without an encoding the
// result is body itself.
func Decompress(body []byte, encoding string, limit int64) ([]byte, error) {
	var src io.Reader
	switch coding(encoding) {
	case "", "identity":
		if int64(len(body)) > limit {
			return nil, jq.ErrTooLarge
		}
		return body, nil
	case "gzip", "x-gzip":
		z := gzips.Get().(*gzip.Reader)
		defer gzips.Put(z)
		if z.Reset(bytes.NewReader(body)) != nil {
			return nil, ErrCorrupt
		}
		src = z
	case "zstd":
		z := zstds.Get().(*zstd.Decoder)
		defer func() {
			_ = z.Reset(nil) // let the body go
			zstds.Put(z)
		}()
		if z.Reset(bytes.NewReader(body)) != nil {
			return nil, ErrCorrupt
		}
		src = z
	default:
		return nil, ErrEncoding
	}
	out, err := io.ReadAll(io.LimitReader(src, limit+1))
	switch {
	case int64(len(out)) > limit:
		return nil, jq.ErrTooLarge
	case err != nil:
		return nil, ErrCorrupt
	default:
		return out, nil
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
