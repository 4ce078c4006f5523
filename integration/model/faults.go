package model

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
)

const (
	page  = "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Something else</h1></body></html>\n"
	prose = "upstream connect error or disconnect/reset before headers\n"
	html  = "text/html; charset=utf-8"
	plain = "text/plain; charset=utf-8"
)

// fault makes the reply to a question.
type fault func(q question) reply

// faults are the ways in which the API answers, by name.
var faults = func() map[string]fault {
	all := map[string]fault{}
	for _, some := range []map[string]fault{goodAnswers(), nobody(), statuses(), redirects(), encodings(), unreadables(), broken(), values(), sizes()} {
		maps.Copy(all, some)
	}
	return all
}()

// faultNames are the names in a fixed order.
var faultNames = slices.Sorted(maps.Keys(faults))

// slow are the faults that take longer than a budget: such a call may go on
// after its caller was answered.
var slow = map[string]bool{"hang": true, "half, then hanging": true, "slow drip": true}

// always is a fault that doesn't look at the question.
func always(r reply) fault { return func(question) reply { return r } }

// changed is the good answer with parts replaced.
func changed(replace ...string) fault {
	return func(q question) reply { return text(http.StatusOK, good(q, replace...)) }
}

// spoilt is the good answer, changed by f.
func spoilt(f func(reply) reply) fault {
	return func(q question) reply { return f(text(http.StatusOK, good(q))) }
}

// typed is the good answer under a content type.
func typed(contentType string) fault {
	return spoilt(func(r reply) reply { return r.with("Content-Type", contentType) })
}

func goodAnswers() map[string]fault {
	return map[string]fault{
		"good":                                changed(),
		"good 201":                            func(q question) reply { return text(http.StatusCreated, good(q)) },
		"good, type text/plain":               typed("text/plain"),
		"good, type text/html":                typed("text/html"),
		"good, type application/octet-stream": typed("application/octet-stream"),
		"good, type application/problem+json": typed("application/problem+json"),
		"good, type nonsense":                 typed("json; ;=;"),
		"good, type application/xml":          func(q question) reply { return typed("application/xml")(q).orRefused() },
		"good, type form":                     func(q question) reply { return typed("application/x-www-form-urlencoded")(q).orRefused() },
		"good, no type": spoilt(func(r reply) reply {
			r.header = http.Header{"Content-Type": nil}
			return r
		}),
	}
}

// nobody has the spellings of "there is no such customer".
func nobody() map[string]fault {
	ok, missing := http.StatusOK, http.StatusNotFound
	return map[string]fault{
		"empty":                 always(raw(ok, "", "", nothing)),
		"empty, type JSON":      always(raw(ok, "application/json", "", nothing)),
		"204":                   always(raw(http.StatusNoContent, "", "", nothing)),
		"blanks":                always(raw(ok, "application/json", " \r\n", nothing).orRefused()),
		"null":                  always(text(ok, "null")),
		"data []":               always(text(ok, `{"data":[]}`)),
		"code 0, data []":       always(text(ok, `{"code":"0","data":[]}`)),
		"code 0, data null":     always(text(ok, `{"code":"0","data":null}`)),
		"code 0, data {}":       always(text(ok, `{"code":"0","data":{}}`)),
		"code 0, data \"\"":     always(text(ok, `{"code":"0","data":""}`)),
		"code 0, no data":       always(text(ok, `{"code":"0"}`)),
		"{}":                    always(text(ok, `{}`)),
		"[]":                    always(text(ok, `[]`)),
		"code 4004":             always(text(ok, `{"code":"4004","msg":"no such customer"}`)),
		"code 4004, data null":  always(text(ok, `{"code":"4004","data":null}`)),
		"code 4004, status 400": always(text(http.StatusBadRequest, `{"code":"4004"}`)),
		"code 4004, status 404": always(text(missing, `{"code":"4004"}`)),
		"code 4004, status 500": always(text(http.StatusInternalServerError, `{"code":"4004"}`)),
		"404 JSON":              always(text(missing, `{"code":"404","msg":"not found","data":null}`)),
		"404 null":              always(text(missing, `null`)),
		"404 empty":             always(raw(missing, "", "", nothing)),
		"404 HTML":              always(raw(missing, html, page, unreadable)),
		"404 text":              always(raw(missing, plain, prose, unreadable)),
		"404 good":              func(q question) reply { return text(missing, good(q)) },
	}
}

// statuses are errors by status, each with every kind of body, and by code.
func statuses() map[string]fault {
	all := map[string]fault{
		"code 900001":          always(text(http.StatusOK, `{"code":"900001","msg":"bad sign","data":null}`)),
		"code 900001, data":    changed("code", `"900001"`),
		"code 5000":            always(text(http.StatusOK, `{"code":"5000","msg":"busy","data":null}`)),
		"code 0 as a number":   changed("code", "0"),
		"code null":            changed("code", "null"),
		"code true":            changed("code", "true"),
		"code 0, status 500":   func(q question) reply { return text(http.StatusInternalServerError, good(q)) },
		"code 0, status 400":   func(q question) reply { return text(http.StatusBadRequest, good(q)) },
		"206":                  func(q question) reply { return partial(good(q)) },
		"first 401, then good": changed(), // the server answers the first time with 401
		"an error of its own":  always(text(http.StatusOK, `{"error":{"code":"0","data":{"name":"a"}}}`)),
	}
	for _, s := range []int{400, 401, 403, 409, 410, 418, 422, 429, 451, 500, 501, 502, 503, 504, 520} {
		name := strconv.Itoa(s)
		all[name+" JSON"] = always(text(s, `{"code":"`+name+`","msg":"no","data":null}`))
		all[name+" HTML"] = always(raw(s, html, page, unreadable))
		all[name+" empty"] = always(raw(s, "", "", nothing))
	}
	return all
}

func partial(body string) reply {
	r := text(http.StatusPartialContent, body).with("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(body)-1, 2*len(body)))
	r.kind = unreadable
	return r
}

// trap is replaced by the address of a server that answers well, in the name of
// another customer: whoever follows a redirect meets it.
const trap = "{TRAP}"

func redirects() map[string]fault {
	all := map[string]fault{}
	for _, s := range []int{301, 302, 303, 307, 308} {
		name := strconv.Itoa(s)
		all[name+" to another host"] = always(raw(s, html, page, unreadable).with("Location", "http://"+trap+"/elsewhere"))
		all[name+" to https"] = always(raw(s, "", "", nothing).with("Location", "https://"+trap+"/"))
		all[name+" with a good body"] = func(q question) reply { return text(s, good(q)).with("Location", "http://"+trap+"/elsewhere") }
	}
	return all
}

func encodings() map[string]fault {
	// coded is the good answer with a name, in a charset.
	coded := func(charset, name string, encode func(string) string) fault {
		return func(q question) reply {
			body := good(q, "name", `"`+name+`"`)
			r := text(http.StatusOK, body)
			r.body = []byte(encode(body))
			r.size = len(r.body)
			if charset != "" {
				return r.with("Content-Type", "application/json; charset="+charset)
			}
			return r
		}
	}
	undeclared := func(name string, encode func(string) string) fault {
		f := coded("", name, encode)
		return func(q question) reply {
			r := f(q)
			r.kind, r.doc = unreadable, nil
			return r
		}
	}
	either := func(f fault) fault { return func(q question) reply { return f(q).orRefused() } }
	gbk := func(s string) string { return must(simplifiedchinese.GBK.NewEncoder().String(s)) }
	greek := func(s string) string { return must(charmap.Windows1253.NewEncoder().String(s)) }
	latin := func(s string) string { return must(charmap.ISO8859_1.NewEncoder().String(s)) }
	asItIs := func(s string) string { return s }
	return map[string]fault{
		"UTF-8 mark":              coded("", "张三", func(s string) string { return "\ufeff" + s }),
		"UTF-8 mark, declared":    coded("UTF-8", "张三", func(s string) string { return "\ufeff" + s }),
		"UTF-8 mark alone":        always(raw(http.StatusOK, "application/json", "\ufeff", nothing).orRefused()),
		"UTF-16LE mark":           either(coded("", "张三", func(s string) string { return wide("\ufeff"+s, false) })),
		"UTF-16BE mark":           either(coded("", "张三", func(s string) string { return wide("\ufeff"+s, true) })),
		"UTF-16LE mark, declared": either(coded("utf-16", "张三", func(s string) string { return wide("\ufeff"+s, false) })),
		"UTF-16LE declared":       coded("utf-16le", "张三", func(s string) string { return wide(s, false) }),
		"GBK":                     coded("GBK", "张三", gbk),
		"GBK, quoted":             coded(`"gbk"`, "张三", gbk),
		"gb2312":                  coded("gb2312", "张三", gbk),
		"GBK undeclared":          undeclared("张三", gbk),
		"windows-1253":            coded("windows-1253", "Γιώργος", greek),
		"windows-1253 undeclared": undeclared("Γιώργος", greek),
		"ISO-8859-1":              coded("ISO-8859-1", "José Núñez", latin),
		"UTF-8, but it is GBK":    undeclaredAs("utf-8", undeclared("张三", gbk)),
		"unknown charset":         either(coded("x-klingon", "Worf", asItIs)),
		"gzip":                    spoilt(zipped),
		"x-gzip":                  either(spoilt(func(r reply) reply { return zipped(r).with("Content-Encoding", "x-gzip") })),
		"gzip of HTML":            always(zipped(raw(http.StatusOK, html, page, unreadable))),
		"broken gzip":             spoilt(func(r reply) reply { return spoiltBody(zipped(r), func(b []byte) []byte { return b[:len(b)*2/3] }) }),
		"gzip with a bad checksum": spoilt(func(r reply) reply {
			return spoiltBody(zipped(r), func(b []byte) []byte { b[len(b)-6] ^= 0xff; return b })
		}),
		"labelled gzip, but plain": spoilt(func(r reply) reply { return unread(r.with("Content-Encoding", "gzip")) }),
		"labelled br, but plain":   spoilt(func(r reply) reply { return unread(r.with("Content-Encoding", "br")) }),
		"unknown encoding":         spoilt(func(r reply) reply { return unread(r.with("Content-Encoding", "x-rot13")) }),
		"encoding identity":        spoilt(func(r reply) reply { return r.with("Content-Encoding", "identity") }),
	}
}

func undeclaredAs(charset string, f fault) fault {
	return func(q question) reply { return f(q).with("Content-Type", "application/json; charset="+charset) }
}

func must(s string, err error) string {
	if err != nil {
		panic(err)
	}
	return s
}

// wide is a text in UTF-16.
func wide(s string, big bool) string {
	var order binary.AppendByteOrder = binary.LittleEndian
	if big {
		order = binary.BigEndian
	}
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

// zipped compresses the body of a reply.
func zipped(r reply) reply {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(r.body)
	_ = w.Close()
	r.body = b.Bytes()
	return r.with("Content-Encoding", "gzip")
}

// unread makes a reply one that can't be read.
func unread(r reply) reply {
	r.kind, r.doc = unreadable, nil
	return r
}

func spoiltBody(r reply, f func([]byte) []byte) reply {
	r.body = f(r.body)
	return unread(r)
}

func unreadables() map[string]fault {
	ok := http.StatusOK
	body := func(f func(string) string) fault {
		return spoilt(func(r reply) reply { return spoiltBody(r, func(b []byte) []byte { return []byte(f(string(b))) }) })
	}
	stream := func(contentType string, f func(string) string) fault {
		return func(q question) reply { return raw(ok, contentType, f(good(q)), streamed) }
	}
	lines := func(s string) string { return s + "\n" + s + "\n" }
	one := func(s string) string { return s }
	return map[string]fault{
		"HTML":                     always(raw(ok, html, page, unreadable)),
		"HTML, type JSON":          always(raw(ok, "application/json", page, unreadable)),
		"text":                     always(raw(ok, plain, prose, unreadable)),
		"text, no type":            always(raw(ok, "", prose, unreadable)),
		"XML, type JSON":           always(raw(ok, "application/json", "<r><code>0</code></r>", unreadable)),
		"two documents":            body(lines),
		"trailing garbage":         body(func(s string) string { return s + "}garbage" }),
		"leading garbage":          body(func(s string) string { return ")]}',\n" + s }),
		"JSONP":                    body(func(s string) string { return "callback(" + s + ");" }),
		"cut JSON":                 body(func(s string) string { return s[:len(s)*2/3] }),
		"single quotes":            body(func(s string) string { return strings.ReplaceAll(s, `"`, `'`) }),
		"trailing comma":           body(func(s string) string { return s[:len(s)-1] + ",}" }),
		"comment":                  body(func(s string) string { return "/* good */" + s }),
		"NaN":                      body(func(s string) string { return strings.Replace(s, `"vip":1`, `"vip":NaN`, 1) }),
		"Infinity":                 body(func(s string) string { return strings.Replace(s, `"vip":1`, `"vip":-Infinity`, 1) }),
		"nan":                      body(func(s string) string { return strings.Replace(s, `"vip":1`, `"vip":nan`, 1) }),
		"a number with zeros":      body(func(s string) string { return strings.Replace(s, `"vip":1`, `"vip":01`, 1) }),
		"a raw line break":         body(func(s string) string { return strings.Replace(s, "Beijing", "Bei\njing", 1) }),
		"invalid UTF-8":            body(func(s string) string { return strings.Replace(s, "Beijing", "Bei\xff\xfejing", 1) }),
		"NDJSON":                   stream("application/x-ndjson", lines),
		"NDJSON of one":            stream("application/x-ndjson", one),
		"event stream":             stream("text/event-stream", func(s string) string { return "data: " + s + "\n\n" }),
		"event stream of JSON":     stream("text/event-stream", one),
		"event stream, in letters": stream("Text/Event-Stream; charset=utf-8", one),
		"gRPC":                     stream("application/grpc", one),
	}
}

// broken are the replies that don't come, or not whole.
func broken() map[string]fault {
	sent := func(w wire) fault { return spoilt(func(r reply) reply { return r.sent(w) }) }
	return map[string]fault{
		"dropped":            sent(dropped),
		"reset":              sent(reset),
		"hang":               sent(hanging),
		"truncated":          sent(cutLength),
		"truncated chunks":   sent(cutChunk),
		"reset in the body":  sent(resetBody),
		"half, then hanging": sent(halfHangs),
		"slow drip":          sent(dripping),
	}
}

// hostile is a name that means something to the languages of phone systems.
const hostile = `"x\" & \"1 ${SHELL(id)} \\ $var\r\nSet-Cookie: a=b\u0001\u2028\u007f\u0085 <&> =%20+ 😀 '"`

// values are answers with values of every kind.
func values() map[string]fault {
	all := map[string]fault{
		"a hostile name":         changed("name", hostile),
		"long numbers":           changed("vip", "9007199254740993", "amount", "123456789012345678901234567890.10"),
		"numbers out of range":   func(q question) reply { return changed("amount", "1e400", "vip", "-0.0")(q).orRefused() },
		"a number with exponent": func(q question) reply { return changed("amount", "1.5E+3")(q) },
		"a lone surrogate":       func(q question) reply { return changed("name", `"a\ud800b"`)(q).orRefused() },
		"a NUL":                  func(q question) reply { return changed("name", `"a\u0000b"`)(q).orRefused() },
		"duplicate keys": func(q question) reply {
			body := strings.Replace(good(q), `"data":{`, `"data":{"name":"SOMEBODY ELSE",`, 1)
			return text(http.StatusOK, body)
		},
		"other keys":        always(text(http.StatusOK, `{"code":"0","data":{"nick":"x","_status":"ok","_age":1}}`)),
		"a key _status":     always(text(http.StatusOK, `{"code":"0","_status":"good","_age":"old","data":{"name":"a"}}`)),
		"everything in one": always(text(http.StatusOK, `{"code":"0","data":{"name":"a_b","address":{"city":"c","zip":"z","more":{"x":[1,[2,null]]}}}}`)),
		"two for one key":   always(text(http.StatusOK, `{"code":"0","data_name":"x","data":{"name":"y"}}`)),
	}
	for kind, v := range map[string]string{
		"missing": "", "null": "null", "a text": `"text"`, "blank": `""`, "a number": "42", "true": "true", "false": "false",
		"[]": "[]", "an array": `["a",1]`, "{}": "{}", "an object": `{"x":1}`,
	} {
		for _, field := range []string{"name", "vip", "address", "tags"} {
			all[field+" is "+kind] = changed(field, v)
		}
		if v != "" {
			all["data is "+kind] = always(text(http.StatusOK, `{"code":"0","data":`+v+`}`))
			all["all is "+kind] = always(text(http.StatusOK, v))
		}
	}
	return all
}

// sizes are answers and headers of every length.
func sizes() map[string]fault {
	headers := func(n, each int) fault {
		return spoilt(func(r reply) reply {
			for i := range n {
				r = r.with("X-Pad-"+strconv.Itoa(i), strings.Repeat("h", each))
			}
			return r
		})
	}
	all := map[string]fault{
		"huge body": spoilt(func(r reply) reply {
			r.body = append(bytes.Repeat([]byte(" "), 3<<20), r.body...)
			r.size = len(r.body)
			return r
		}),
		"gzip bomb":          func(question) reply { return bomb() },
		"16 KiB of headers":  headers(16, 1<<10),
		"600 KiB of headers": headers(60, 10<<10),
	}
	for _, n := range []int{3500, 5000, 9000, 20000, 40000, 70000} {
		all[fmt.Sprintf("a name of %d bytes", n)] = changed("name", `"`+strings.Repeat("n", n)+`"`)
	}
	for _, n := range []int{50, 5000, 100000} {
		all[fmt.Sprintf("%d arrays deep", n)] = func(q question) reply {
			nested := strings.Repeat("[", n) + strings.Repeat("]", n)
			if n < 100 {
				return text(http.StatusOK, good(q, "tags", nested))
			}
			r := raw(http.StatusOK, "application/json", good(q, "tags", nested), unreadable)
			r.mayBeLarge = true
			return r
		}
	}
	return all
}

// bomb is 16 MiB of JSON in a few kilobytes.
var bomb = sync.OnceValue(func() reply {
	r := zipped(raw(http.StatusOK, "application/json", `{"code":"0","data":{"name":"`+strings.Repeat("b", 16<<20)+`"}}`, unreadable))
	r.size = 64 << 20
	return r
})
