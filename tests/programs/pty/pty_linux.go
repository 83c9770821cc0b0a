// Package pty runs programs in a pseudo-terminal; for tests only.
package pty

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackscope/stackscope/tests/programs"
)

// Keys that a terminal turns into a signal or into the end of the input.
const (
	CtrlC = "\x03"
	CtrlD = "\x04"
)

// waitTime bounds a wait for a program's text or end.
const waitTime = 60 * time.Second

// Session is a program whose input, output and errors are a pseudo-terminal of its own.
type Session struct {
	tb     testing.TB
	cmd    *exec.Cmd
	master *os.File
	screen programs.Buffer
	read   chan struct{} // closed when everything is read
	ended  chan struct{} // closed when the program has ended
}

// Start starts cmd in a new session whose controlling terminal has a width and a height in characters. The program is killed when the test
// ends at the latest.
func Start(tb testing.TB, cmd *exec.Cmd, width, height uint16) *Session {
	tb.Helper()
	master, slave, err := open()
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = slave.Close() }() // the program has its own
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		tb.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	s := &Session{tb: tb, cmd: cmd, master: master, read: make(chan struct{}), ended: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		defer close(s.read)
		buf := make([]byte, 4<<10)
		for {
			n, err := master.Read(buf)
			_, _ = s.screen.Write(buf[:n]) // memory
			if err != nil {                // EIO: nobody has the other end any more
				return
			}
		}
	}()
	go func() {
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
		close(s.ended)
	}()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-s.ended
		_ = master.Close()
		<-s.read
		if tb.Failed() {
			tb.Logf("what %q showed:\n%s", cmd.Args, s.Screen())
		}
	})
	return s
}

// open returns both ends of a new pseudo-terminal (pts(4)).
func open() (master, slave *os.File, err error) {
	// Non-blocking, so that closing it ends a read.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("/dev/ptmx: %w", err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		_ = master.Close() // err is returned
		return nil, nil, fmt.Errorf("pseudo-terminal: %w", err)
	}
	return master, slave, nil
}

// Screen returns what the program has written so far, and what was typed, with \n at the ends of lines.
func (s *Session) Screen() string { return strings.ReplaceAll(s.screen.String(), "\r\n", "\n") }

// Await waits until the screen has a text.
func (s *Session) Await(text string) {
	s.tb.Helper()
	programs.Eventually(s.tb, waitTime, fmt.Sprintf("the terminal shows %q", text), func() error {
		if !strings.Contains(s.Screen(), text) {
			return fmt.Errorf("it shows:\n%s", s.Screen())
		}
		return nil
	})
}

// Type types keys: a line with its \n, CtrlC or CtrlD.
func (s *Session) Type(keys string) {
	s.tb.Helper()
	if _, err := s.master.WriteString(keys); err != nil {
		s.tb.Fatal(err)
	}
}

// ExitCode waits until the program has ended and everything that it wrote is read. It returns the exit code, -1 if a signal ended it.
func (s *Session) ExitCode() int {
	s.tb.Helper()
	for _, done := range []chan struct{}{s.ended, s.read} {
		select {
		case <-done:
		case <-time.After(waitTime):
			s.tb.Fatalf("%q still runs", s.cmd.Args)
		}
	}
	return s.cmd.ProcessState.ExitCode()
}
