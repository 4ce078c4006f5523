package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

//go:embed page
var embedded embed.FS

// file is one file of the page.
type file struct {
	text  []byte
	media string
	etag  string
}

// files are the page's files, by name.
var files = func() map[string]file {
	all := make(map[string]file)
	entries, err := embedded.ReadDir("page")
	if err != nil {
		panic(err) // impossible: the files are embedded
	}
	for _, entry := range entries {
		text, err := embedded.ReadFile("page/" + entry.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(text)
		all[entry.Name()] = file{text: text, media: mediaTypes[path.Ext(entry.Name())], etag: `"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	return all
}()

// openFiles are those that the sign-in form needs. They hold no data.
var openFiles = map[string]struct{}{
	"signin.js": {}, "dom.js": {}, "words.js": {}, "words_en.js": {}, "words_zh.js": {}, "api.js": {}, "console.css": {}, "icon.svg": {},
}

// mediaTypes are those of the files, because the system's MIME table may be wrong.
var mediaTypes = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".html": "text/html; charset=utf-8",
}

// protect sets the security headers of every response. The page may only run its
// own files and talk to its own server, and no other page may frame it or read
// from it.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
}

// page serves a file of the page.
func (c *Console) page(w http.ResponseWriter, r *http.Request, name string) error {
	if !reads(r) {
		w.Header().Set("Allow", "GET, HEAD")
		return fail(w, http.StatusMethodNotAllowed, "use GET")
	}
	if name == "" {
		if redirectStripped(w, r) {
			return nil
		}
		name = "index.html"
	}
	if _, ok := files[name]; ok && name != "signin.html" {
		return write(w, r, http.StatusOK, name)
	}
	if redirectToSlash(w, r, name) {
		return nil
	}
	return fail(w, http.StatusNotFound, "there is no such page")
}

// redirectToSlash redirects a browser from /console to /console/, so that relative URLs
// work.
func redirectToSlash(w http.ResponseWriter, r *http.Request, name string) bool {
	if strings.Contains(name, ".") || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return false
	}
	w.Header().Set("Location", "./"+url.PathEscape(name)+"/")
	w.WriteHeader(http.StatusFound)
	return true
}

// redirectStripped does the same where handle_path has stripped the path.
func redirectStripped(w http.ResponseWriter, r *http.Request) bool {
	original := originalPath(r)
	return !strings.HasSuffix(original, "/") && redirectToSlash(w, r, path.Base(original))
}

// originalPath returns the path that the browser has asked for.
func originalPath(r *http.Request) string {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		return original.URL.Path
	}
	return r.URL.Path
}

func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

func write(w http.ResponseWriter, r *http.Request, status int, name string) error {
	f := files[name]
	h := w.Header()
	h.Set("Content-Type", f.media)
	h.Set("Cache-Control", "no-cache") // revalidate each time: a new binary has a new page
	h.Set("Etag", f.etag)
	if status == http.StatusOK && r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Length", strconv.Itoa(len(f.text)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(f.text) // the client may have disconnected
	}
	return nil
}
