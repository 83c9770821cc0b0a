// Package health asks the processes of this program whether they work, at the ports that they really have.
package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Scheme is how a port is spoken to.
type Scheme int

// Schemes. Either is for a port whose file decides, which may have changed since the process read it.
const (
	Plain Scheme = iota
	TLS
	Either
)

// Place is a port of a process at which Path is answered.
type Place struct {
	Name   string // as in "API"
	Host   string // as in the flag: empty, 0.0.0.0 and :: stand for all addresses of the machine
	Port   int    // 0: the process chose one
	Usual  int    // what it chooses in a container; 0: any
	Scheme Scheme
}

// Answer is what one place said.
type Answer struct {
	Place Place
	URL   string
	Err   error // nil: it works
}

// Ask asks all places of p. A place with no certain port, or at whose port nothing listens, is looked for among the sockets of
// the process: it chose a port by itself, or its configuration file changed since it started.
func (p *Process) Ask(ctx context.Context, places []Place) []Answer {
	answers := make([]Answer, len(places))
	done := make(chan int)
	for i, place := range places {
		go func() {
			defer func() { done <- i }()
			if place.Port == 0 && (p.PID == 1 || p.parent == 1) {
				place.Port = place.Usual
			}
			answers[i] = Answer{Place: place, Err: ErrNobodyListens}
			if place.Port != 0 {
				address := net.JoinHostPort(reached(place.Host), strconv.Itoa(place.Port))
				answers[i].URL, answers[i].Err = ask(ctx, place.Scheme, place.Scheme == Either, address)
			}
		}()
	}
	for range places {
		<-done
	}
	p.search(ctx, answers)
	return answers
}

// search looks for the places at which nothing listens.
func (p *Process) search(ctx context.Context, answers []Answer) {
	lost := func(a Answer) bool { return errors.Is(a.Err, ErrNobodyListens) }
	if !slices.ContainsFunc(answers, lost) {
		return
	}
	listeners, err := p.Listeners()
	if err != nil {
		return // what was found stays
	}
	listeners = slices.DeleteFunc(listeners, func(l netip.AddrPort) bool { // sockets that are known
		return slices.ContainsFunc(answers, func(a Answer) bool { return !lost(a) && a.Place.Port == int(l.Port()) })
	})
	// First the sockets that look like the place's own, so that two places are not taken for each other.
	for _, alike := range []bool{true, false} {
		for i := range answers {
			if lost(answers[i]) {
				listeners = answers[i].find(ctx, listeners, alike)
			}
		}
	}
}

// find asks listeners for the answer's place, and returns those that are left. alike: only those at the place's own host, as its flags say.
func (a *Answer) find(ctx context.Context, listeners []netip.AddrPort, alike bool) []netip.AddrPort {
	scheme := Either
	if alike {
		scheme = a.Place.Scheme
	}
	for i, l := range listeners {
		host := reached(l.Addr().String())
		if l.Addr().IsUnspecified() && unspecified(a.Place.Host) {
			host = reached(a.Place.Host) // sockets of both families are listed as those of IPv6
		}
		if alike && host != reached(a.Place.Host) {
			continue
		}
		if url, err := ask(ctx, scheme, a.Place.Scheme == Either, net.JoinHostPort(host, strconv.Itoa(int(l.Port())))); err == nil {
			a.URL, a.Err = url, nil
			return slices.Delete(listeners, i, i+1)
		}
	}
	return listeners
}

// ask asks an address of this machine, host:port. wants is as in way.
func ask(ctx context.Context, scheme Scheme, wants bool, address string) (url string, err error) {
	w := way{unverified: true, wants: wants}
	plain, secure := "http://"+address+Path, "https://"+address+Path
	if scheme == Plain {
		return plain, w.ask(ctx, plain)
	}
	err = w.ask(ctx, secure)
	if scheme == Either && notTLS(err) {
		return plain, w.ask(ctx, plain)
	}
	return secure, err
}

// reached returns where what listens on host is reached from the same machine.
func reached(host string) string {
	host = strings.Trim(host, "[]")
	if host == "" {
		return "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil || !ip.IsUnspecified():
		return host
	case ip.Is4():
		return "127.0.0.1"
	}
	return "::1"
}

func unspecified(host string) bool {
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "" || err == nil && ip.IsUnspecified()
}

// Say is a line about answers: of those that fail if there are some, else of all.
func Say(answers []Answer) (line string, healthy bool) {
	var good, bad []string
	for _, a := range answers {
		switch {
		case a.Err == nil:
			good = append(good, fmt.Sprintf("%s at %s", a.Place.Name, a.URL))
		case a.URL == "":
			bad = append(bad, fmt.Sprintf("%s: none of the process' ports answers GET %s", a.Place.Name, Path))
		default:
			bad = append(bad, fmt.Sprintf("%s at %s: %v", a.Place.Name, a.URL, a.Err))
		}
	}
	if len(bad) > 0 {
		return strings.Join(bad, "; "), false
	}
	return strings.Join(good, ", "), true
}
