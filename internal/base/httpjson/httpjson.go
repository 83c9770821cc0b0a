// Package httpjson reads and writes JSON bodies with bounds.
package httpjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Problem is an error as application/problem+json (RFC 9457).
type Problem struct {
	Title  string `json:"title,omitempty"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Errors any    `json:"errors,omitempty"`
}

// Write answers with v as JSON.
func Write(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(v)
}

// WriteProblem answers with p.
func WriteProblem(w http.ResponseWriter, p Problem) error {
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	return json.NewEncoder(w).Encode(p)
}

// ReadAll reads r up to limit bytes and fails when there is more.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("body is larger than %d bytes", limit)
	}
	return data, nil
}

// Decode reads one JSON value of type T from r, at most limit bytes. Keys that T doesn't have are ignored, so that older
// peers understand newer ones.
func Decode[T any](r io.Reader, limit int64) (T, error) {
	var v T
	data, err := ReadAll(r, limit)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(data, &v); err != nil {
		if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return v, fmt.Errorf("%s: got %s, want %s", te.Field, te.Value, te.Type)
		}
		return v, err
	}
	return v, nil
}
