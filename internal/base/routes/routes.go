// Package routes is a ServeMux that can say what was registered in it, so that a table of who may ask what can be checked for
// completeness.
package routes

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// Route is what a handler serves.
type Route struct {
	Pattern string // as a ServeMux takes it: "GET /metrics"; without a method it is for all of them
	Right   string // that it needs; empty: nobody said
}

// Method returns the pattern's method; empty: all.
func (r Route) Method() string {
	method, _, ok := strings.Cut(r.Pattern, " ")
	if !ok {
		return ""
	}
	return method
}

// Path returns the pattern's path.
func (r Route) Path() string {
	_, path, ok := strings.Cut(r.Pattern, " ")
	if !ok {
		return r.Pattern
	}
	return path
}

// Lister is a handler that says what it serves. Its paths begin at the root of the listener.
type Lister interface {
	http.Handler
	Routes() []Route
}

// Mux is a ServeMux that is a Lister. What is registered must be registered by its own methods.
type Mux struct {
	mux     *http.ServeMux
	entries []entry
	rights  map[string]string
}

type entry struct {
	pattern string
	handler http.Handler
}

// NewMux returns an empty Mux.
func NewMux() *Mux { return &Mux{mux: http.NewServeMux(), rights: map[string]string{}} }

// Handle registers a handler. If that is a Lister, its routes are listed beside the pattern.
func (m *Mux) Handle(pattern string, h http.Handler) {
	m.entries = append(m.entries, entry{pattern, h})
	m.mux.Handle(pattern, h)
}

// HandleFunc registers a function.
func (m *Mux) HandleFunc(pattern string, f func(http.ResponseWriter, *http.Request)) {
	m.Handle(pattern, http.HandlerFunc(f))
}

// Needs notes the right that a pattern needs. It may be called before the pattern is registered.
func (m *Mux) Needs(pattern, right string) { m.rights[pattern] = right }

// Handler returns the handler of a request and the pattern that it was registered with, empty when there is none.
func (m *Mux) Handler(r *http.Request) (http.Handler, string) { return m.mux.Handler(r) }

// ServeHTTP implements http.Handler.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// Routes implements Lister. Each pattern is there once, sorted by path.
func (m *Mux) Routes() []Route {
	var list []Route
	for _, e := range m.entries {
		r := Route{Pattern: e.pattern, Right: m.rights[e.pattern]}
		var inner []Route
		if l, ok := e.handler.(Lister); ok {
			inner = l.Routes()
		}
		if i := slices.IndexFunc(inner, func(in Route) bool { return in.Pattern == r.Pattern }); i < 0 {
			list = append(list, r)
		}
		list = append(list, inner...)
	}
	return Sorted(list)
}

// Sorted sorts routes by path and leaves one of each pattern.
func Sorted(list []Route) []Route {
	slices.SortStableFunc(list, func(a, b Route) int {
		return cmp.Or(strings.Compare(a.Path(), b.Path()), strings.Compare(a.Method(), b.Method()))
	})
	return slices.CompactFunc(list, func(a, b Route) bool { return a.Pattern == b.Pattern })
}

// With returns h as a Lister.
func With(h http.Handler, list func() []Route) Lister { return listing{h, list} }

type listing struct {
	http.Handler
	list func() []Route
}

func (l listing) Routes() []Route { return l.list() }

// Under returns next as a Lister whose routes are h's, each with the right that next asks for.
func Under(right string, h, next http.Handler) Lister {
	return With(next, func() []Route {
		l, ok := h.(Lister)
		if !ok {
			return nil
		}
		list := slices.Clone(l.Routes())
		for i := range list {
			list[i].Right = right
		}
		return list
	})
}
