package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// controlMux are the endpoints by which a test, or a person with curl, steers
// the server. None of them is written into the ledger.
//
//	POST /_control        one fault or a list of them, as JSON
//	GET  /_control        the faults to come
//	POST /_control/reset  no more faults
//	GET  /_ledger         entries, ?kind= and ?since= (a number) narrow them down
//	POST /_expire         all access tokens die
//	POST /_lifetime?d=30s of the tokens to come
func (s *Server) controlMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /_control", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			reply(w, nil, err)
			return
		}
		faults, err := parseFaults(body)
		if err == nil {
			err = s.Inject(faults...)
		}
		reply(w, faults, err)
	})
	mux.HandleFunc("GET /_control", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, append([]Fault{}, s.Faults()...), nil)
	})
	mux.HandleFunc("POST /_control/reset", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		reply(w, []Fault{}, nil)
	})
	mux.HandleFunc("GET /_ledger", func(w http.ResponseWriter, r *http.Request) {
		entries, err := s.query(r.FormValue("kind"), r.FormValue("since"))
		reply(w, entries, err)
	})
	mux.HandleFunc("POST /_expire", func(w http.ResponseWriter, _ *http.Request) {
		s.Expire()
		reply(w, map[string]bool{"expired": true}, nil)
	})
	mux.HandleFunc("POST /_lifetime", func(w http.ResponseWriter, r *http.Request) {
		d, err := time.ParseDuration(r.FormValue("d"))
		if err == nil && d <= 0 {
			err = errors.New("a lifetime must be positive")
		}
		if err == nil {
			s.SetLifetime(d)
		}
		reply(w, map[string]string{"lifetime": d.String()}, err)
	})
	return mux
}

// query is the ledger's part of a kind after an entry; empty words mean all.
func (s *Server) query(kind, since string) (Entries, error) {
	entries := s.Ledger()
	if kind != "" {
		entries = entries.Kind(kind)
	}
	if since != "" {
		seq, err := strconv.Atoi(since)
		if err != nil {
			return nil, fmt.Errorf("reading since: %w", err)
		}
		entries = entries.Since(seq)
	}
	return append(Entries{}, entries...), nil // [] rather than null
}

// parseFaults takes a list, or a fault alone.
func parseFaults(body []byte) ([]Fault, error) {
	body = bytes.TrimSpace(body)
	if bytes.HasPrefix(body, []byte("[")) {
		var faults []Fault
		err := json.Unmarshal(body, &faults)
		return faults, err
	}
	var f Fault
	err := json.Unmarshal(body, &f)
	return []Fault{f}, err
}

// reply writes v, or 400 and what is wrong.
func reply(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		v = map[string]string{"error": err.Error()}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}
