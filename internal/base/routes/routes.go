// Package routes is a ServeMux that lists its routes, so that a test can check that the table of routes and rights is complete.
package routes

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// Route is what a handler serves.
type Route struct {
	Pattern string // as in http.ServeMux: "GET /metrics"; without a method it matches all methods
	Right   string // that a client needs; empty: not declared
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

// Lister is a handler that lists its routes. Their paths begin at the root of the listener.
type Lister interface {
	http.Handler
	Routes() []Route
}

// Mux is a ServeMux that implements Lister.
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

// Handle registers a handler. If the handler is a Lister, Routes includes its routes.
func (m *Mux) Handle(pattern string, h http.Handler) {
	m.entries = append(m.entries, entry{pattern, h})
	m.mux.Handle(pattern, h)
}

// HandleFunc registers a function.
func (m *Mux) HandleFunc(pattern string, f func(http.ResponseWriter, *http.Request)) {
	m.Handle(pattern, http.HandlerFunc(f))
}

// Needs declares the right that a pattern needs. It may be called before the pattern is registered.
func (m *Mux) Needs(pattern, right string) { m.rights[pattern] = right }

// Handler returns the handler of a request and its pattern; empty when there is none.
func (m *Mux) Handler(r *http.Request) (http.Handler, string) { return m.mux.Handler(r) }

// ServeHTTP implements http.Handler.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// Routes implements Lister. It lists each pattern once, sorted by path.
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

// Sorted sorts routes by path and removes duplicate patterns.
func Sorted(list []Route) []Route {
	slices.SortStableFunc(list, func(a, b Route) int {
		return cmp.Or(strings.Compare(a.Path(), b.Path()), strings.Compare(a.Method(), b.Method()))
	})
	return slices.CompactFunc(list, func(a, b Route) bool { return a.Pattern == b.Pattern })
}

// With returns h as a Lister whose routes are those of list.
func With(h http.Handler, list func() []Route) Lister { return listing{h, list} }

type listing struct {
	http.Handler
	list func() []Route
}

func (l listing) Routes() []Route { return l.list() }

// Under returns next, a handler that checks a right before it calls h, as a Lister of h's routes with that right.
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
