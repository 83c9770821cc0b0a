// Package sdnotify tells systemd how a service is: when it is ready, what it does, that it lives and that it stops. The protocol is that of
// sd_notify(3): datagrams to the socket that NOTIFY_SOCKET names. Without that variable nothing is sent.
package sdnotify

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/base/logging"
)

const (
	// retry is the pause between two checks while the program does not answer.
	retry = time.Second
	// refresh is the pause between two checks without a watchdog, for the status alone.
	refresh = 30 * time.Second
	// sendTimeout bounds the sending of one datagram.
	sendTimeout = time.Second
	// maxStatus bounds the status, in bytes.
	maxStatus = 512
)

// Manager is the service manager of this process. A nil Manager is none: its methods do nothing.
type Manager struct {
	conn     net.Conn
	watchdog time.Duration // after which silence it ends the process; 0: never

	mu     sync.Mutex
	status string // the last one that was sent
}

// FromEnvironment returns the manager that the environment names, nil without one. It removes the variables, so that no program that this one
// starts speaks in its name.
func FromEnvironment() (*Manager, error) {
	address, watchdog, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		if err := os.Unsetenv(name); err != nil {
			return nil, err
		}
	}
	if address == "" {
		return nil, nil
	}
	// A leading @ is a name in the abstract namespace, for Go as for systemd.
	if !strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "@") {
		return nil, fmt.Errorf("NOTIFY_SOCKET is %q: it must be a path, or a name that begins with @", address)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_SOCKET %s: %w", address, err)
	}
	m := &Manager{conn: conn}
	if watchdog != "" && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		usec, err := strconv.ParseUint(watchdog, 10, 53)
		if err != nil || usec == 0 {
			return nil, fmt.Errorf("WATCHDOG_USEC is %q: it must be a number of microseconds above 0", watchdog)
		}
		m.watchdog = time.Duration(usec) * time.Microsecond
	}
	return m, nil
}

// Program is what a manager is told about.
type Program struct {
	// Alive asks the program for an answer, over the ways that its users take, and returns nil when it got it. It returns when ctx ends.
	Alive func(ctx context.Context) error
	// Status is a line for people, such as "serves http://127.0.0.1:80". It must not block for long: it is called before each sign of life.
	Status func() string
	Logger *slog.Logger
}

// Tell tells the manager about the program until ctx ends: that it is ready, when Alive first succeeds, its status, and at least twice per
// watchdog interval that it lives, if Alive says so. It tells that the program stops when ctx ends. The returned function ends it, too, and
// waits for the last message.
func (m *Manager) Tell(ctx context.Context, p Program) (stop func()) {
	if m == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.tell(ctx, p)
	}()
	return func() {
		cancel()
		<-done
	}
}

func (m *Manager) tell(ctx context.Context, p Program) {
	logger := p.Logger.With(logging.KeyComponent, "systemd")
	every := refresh
	if m.watchdog > 0 {
		every = min(every, m.watchdog/2)
	}
	ready, failing := false, false
	for ctx.Err() == nil {
		pause := every
		status := p.Status()
		err := m.ask(ctx, p, every)
		switch {
		case ctx.Err() != nil:
		case err == nil:
			message := "WATCHDOG=1"
			if !ready {
				message = "READY=1\n" + message
			}
			if err := m.send(message, status); err == nil {
				ready = true
			} else {
				logger.Warn("systemd was not told that this program lives", "error", err)
				pause = min(every, retry)
			}
			if failing {
				failing = false
				logger.Info("this program answers its own requests again")
			}
		default:
			pause = min(every, retry)
			if ready && !failing {
				failing = true
				logger.Warn("this program does not answer its own request, so systemd is not told that it lives", "error", err, "watchdog", m.watchdog)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	if err := m.send("STOPPING=1", "stopping"); err != nil {
		logger.Warn("systemd was not told that this program stops", "error", err)
	}
}

// ask returns whether the program lives. It takes at most half the time between two signs of life, so that there is time for another try.
func (m *Manager) ask(ctx context.Context, p Program, every time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, every/2)
	defer cancel()
	return p.Alive(ctx)
}

// send sends a message, with the status if that is new.
func (m *Manager) send(message, status string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	status = clip.End(strings.Map(func(r rune) rune {
		if r < ' ' { // a line break would begin another assignment
			return ' '
		}
		return r
	}, status), maxStatus)
	if status != m.status {
		message += "\nSTATUS=" + status
	}
	if err := m.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	if _, err := m.conn.Write([]byte(message)); err != nil {
		return err
	}
	m.status = status
	return nil
}
