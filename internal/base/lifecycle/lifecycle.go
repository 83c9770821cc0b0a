// Package lifecycle opens listeners and takes a program's parts down in order.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Stack holds the teardown of each part, registered when the part comes to life and run in reverse.
// The zero value is ready to use.
type Stack struct {
	mu    sync.Mutex
	steps []step
}

type step struct {
	name string
	stop func(context.Context) error
}

// Push registers a teardown.
func (s *Stack) Push(name string, stop func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = append(s.steps, step{name, stop})
}

// lastChance is what a step gets when the time of all is over: a database that only has to be closed still is.
const lastChance = 100 * time.Millisecond

// Stop runs the teardowns, last one first, until ctx ends; those that are left then get 100 ms each. A step that fails or
// is cut off doesn't keep the others from running. A second call does nothing.
func (s *Stack) Stop(ctx context.Context) error {
	s.mu.Lock()
	steps := s.steps
	s.steps = nil
	s.mu.Unlock()
	var errs []error
	for _, step := range slices.Backward(steps) {
		done := make(chan error, 1)
		go func() { done <- step.stop(ctx) }()
		if err := await(ctx, done); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", step.name, err))
		}
	}
	return errors.Join(errs...)
}

func await(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(lastChance):
		return context.Cause(ctx)
	}
}

// Listen opens a TCP listener on host:port. flag names the flag by which the user chooses the port; the error says what is
// in the way and names it.
func Listen(host string, port int, flag string) (net.Listener, error) {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	ln, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %d is taken by another program: stop that program or choose another port with %s", port, flag)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("port %d needs root: choose a port above 1023 with %s", port, flag)
	}
	return nil, fmt.Errorf("listen on %s: %w; choose another address or port with %s", addr, err, flag)
}
