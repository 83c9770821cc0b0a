//go:build linux

package attack

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

// playPart is the environment variable that makes this test's binary somebody else's program: what it does, and its arguments.
const playPart = "STACKSCOPE_ATTACK_PLAY"

func play(what string) error {
	part, args, _ := strings.Cut(what, " ")
	from, to, _ := strings.Cut(args, " ")
	switch part {
	case "proxy":
		return proxy(from, to)
	case "hasty":
		return deleteAndLeave(from, to)
	}
	return errors.New("no such part: " + part)
}

// proxy passes bytes on, as HAProxy in TCP mode, stunnel and ssh -R do.
func proxy(listen, to string) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	for {
		in, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer in.Close()
			out, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer out.Close()
			go func() { _, _ = io.Copy(out, in) }()
			_, _ = io.Copy(in, out)
		}()
	}
}

// deleteAndLeave sends a DELETE many times, and closes each connection at once.
func deleteAndLeave(to, times string) error {
	n, err := strconv.Atoi(times)
	if err != nil {
		return err
	}
	for range n {
		conn, err := net.Dial("tcp", to)
		if err != nil {
			return err
		}
		_, err = io.WriteString(conn, "DELETE /v2/workers/1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
		conn.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// nobody is a user that is neither root nor the server's.
func nobody(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can run a program as another user")
	}
	return &syscall.Credential{Uid: 65534, Gid: 65534}
}

// asOther starts this test's binary as another user, to play a part.
func asOther(t *testing.T, user *syscall.Credential, part string) *programs.Program {
	t.Helper()
	path := publicCopy(t, os.Args[0])
	cmd := exec.Command(path)
	cmd.Env, cmd.Dir = append(os.Environ(), playPart+"="+part), filepath.Dir(path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	return programs.Start(t, cmd)
}

// publicCopy returns a copy of a program that other users may run, wherever the original is.
func publicCopy(t *testing.T, program string) string {
	t.Helper()
	path := filepath.Join(publicDir(t), filepath.Base(program))
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// publicDir returns a directory that other users may enter.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "stackscope-attack-") //nolint:usetesting // the parent of t.TempDir is the test's own user's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (s *server) mustHaveWorker(t *testing.T) {
	t.Helper()
	if body, err := programs.Get(s.url + "/v2/workers"); err != nil || !strings.Contains(body, `"node-1"`) {
		t.Errorf("the worker is gone: %.300s, %v", body, err)
	}
}

// TestAnotherUserOnLoopback: who is on the server's machine as another user changes nothing, be it that he leaves at once so that
// nobody can tell whose the connection was.
func TestAnotherUserOnLoopback(t *testing.T) {
	other := nobody(t)
	s := serve(t)
	if _, err := s.join("node-1", 0); err != nil {
		t.Fatal(err)
	}
	s.queryable(t)
	addr := strings.TrimPrefix(s.url, "http://")
	s.attack(t, func() {
		p := asOther(t, other, fmt.Sprintf("hasty %s %d", addr, count(5000, 300)))
		if err := p.Err(); err != nil {
			t.Errorf("the other user's program: %v: %s", err, p.Output())
		}
		time.Sleep(time.Second) // requests may still be under way
	})
	s.mustHaveWorker(t)
}

// TestTCPProxyOnLoopback: a proxy that adds nothing to a request lends strangers its own address, and no more.
func TestTCPProxyOnLoopback(t *testing.T) {
	t.Parallel()
	other := nobody(t)
	s := serve(t)
	if _, err := s.join("node-1", 0); err != nil {
		t.Fatal(err)
	}
	through := net.JoinHostPort("127.0.0.1", strconv.Itoa(programs.FreePort(t)))
	asOther(t, other, "proxy "+through+" "+strings.TrimPrefix(s.url, "http://"))
	behind := *s
	behind.url = "http://" + through
	programs.Eventually(t, 10*time.Second, "the proxy", func() error { _, err := programs.Get(behind.url + "/healthz"); return err })
	for _, r := range []struct {
		method, path string
		body         any
	}{
		{http.MethodDelete, "/v2/workers/1", nil},
		{http.MethodDelete, "/v2/metrics/config", nil},
		{http.MethodPost, "/v2/metrics/config", map[string]any{"gpustack_metrics": map[string]any{}, "runtime_mapping": map[string]any{}}},
	} {
		status, answer, err := behind.send(r.method, r.path, "", r.body)
		if err != nil || status != http.StatusUnauthorized {
			t.Errorf("%s %s through the proxy: %d %s, %v", r.method, r.path, status, answer, err)
		}
		for _, want := range []string{"sudo -u", "admin-token"} {
			if !strings.Contains(string(answer), want) {
				t.Errorf("%s %s: the answer does not name %s: %s", r.method, r.path, want, answer)
			}
		}
	}
	s.mustHaveWorker(t)
	if _, err := behind.join("stranger", 10151); err == nil || !strings.Contains(err.Error(), "server's own machine") {
		t.Errorf("a worker behind the proxy may have the server's own loopback address scraped: %v", err)
	}
	if status, answer, err := behind.send(http.MethodDelete, "/v2/workers/1", s.adminToken, nil); err != nil || status != http.StatusNoContent {
		t.Errorf("with the token, through the proxy: %d %s, %v", status, answer, err)
	}
}

// TestRootIsNotTheServersUser: where the server isn't root, root needs the token or --trust-loopback-root.
func TestRootIsNotTheServersUser(t *testing.T) {
	t.Parallel()
	other := nobody(t)
	for flag, want := range map[string]int{"": http.StatusUnauthorized, "--trust-loopback-root": http.StatusNoContent} {
		dir := filepath.Join(publicDir(t), "data")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, int(other.Uid), int(other.Gid)); err != nil {
			t.Fatal(err)
		}
		var flags []string
		if flag != "" {
			flags = append(flags, flag)
		}
		s := serveAs(t, other, dir, nil, flags...)
		if _, err := s.join("node-1", 0); err != nil {
			t.Fatal(err)
		}
		if status, answer, err := s.send(http.MethodDelete, "/v2/workers/1", "", nil); err != nil || status != want {
			t.Errorf("root with %q: %d %s, %v; want %d", flag, status, answer, err, want)
		}
		s.Stop(syscall.SIGTERM)
	}
}
