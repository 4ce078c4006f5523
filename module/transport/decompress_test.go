package transport

import (
	"errors"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

func TestDecompress(t *testing.T) {
	for _, encoding := range []string{"", "identity", "gzip", "x-gzip", "zstd"} {
		for range 2 { // the second time with what the first has put back
			body := []byte(deadCode)
			if encoding == "zstd" || strings.HasSuffix(encoding, "gzip") {
				body = []byte(compress(t, encoding, deadCode))
			}
			if got, err := Decompress(body, encoding, int64(len(deadCode)), nil); err != nil || string(got) != deadCode {
				t.Errorf("%s: %q, %v", encoding, got, err)
			}
			if _, err := Decompress(body, encoding, int64(len(deadCode))-1, nil); !errors.Is(err, jsonval.ErrTooLarge) {
				t.Errorf("%s: over the limit: %v", encoding, err)
			}
			if encoding == "" || encoding == "identity" {
				continue
			}
			for _, bad := range [][]byte{[]byte("x"), body[:len(body)-5]} {
				if _, err := Decompress(bad, encoding, 1000, nil); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: %q: %v", encoding, bad, err)
				}
			}
		}
	}
	for _, encoding := range []string{"br", "deflate", "gzip, zstd", "*"} {
		if _, err := Decompress([]byte(fineCode), encoding, 1000, nil); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: %v", encoding, err)
		}
	}
}
