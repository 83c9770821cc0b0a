package command

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Defaults that only root can use everywhere, and what other users get in their place.
const (
	SystemDataDir = "/var/lib/stackscope"
	SystemPort    = 80
	UserPort      = 8080
)

// User is who runs the program, as far as defaults depend on it.
type User struct {
	Root bool
	// Container says that this is the program of a container, whose ports and directories are given from outside: defaults are those of root.
	Container bool
	Getenv    func(string) string
	// SystemDir is the data directory of root and of services, and Writable reports whether this user may make files in a directory.
	SystemDir string
	Writable  func(dir string) bool
}

// ThisUser returns the user of this process.
func ThisUser() User {
	return User{Root: os.Geteuid() == 0, Container: InContainer(os.Getenv), Getenv: os.Getenv, SystemDir: SystemDataDir, Writable: writable}
}

// DataDir returns the data directory for a user who names none: the system's for root and for a user who may write to it, as that of a
// service or a container; for others stackscope in the user's state directory, $XDG_STATE_HOME or ~/.local/state
// (https://specifications.freedesktop.org/basedir-spec). file is what shows that a directory is in use. A note says that data of
// this program is in the other place; empty: there is none.
func (u User) DataDir(file string) (dir, note string) {
	own := u.stateDir(u.Getenv("HOME"), u.Getenv("XDG_STATE_HOME"))
	switch {
	case u.Root:
		if left := u.beforeSudo(file); left != "" {
			note = fmt.Sprintf("data of %s is in %s and is not used here: --data-dir %s continues with it", u.Getenv("SUDO_USER"), left, left)
		}
		return u.SystemDir, note
	case u.Container || own == "" || u.Writable(u.SystemDir):
		return u.SystemDir, ""
	case present(filepath.Join(u.SystemDir, file)):
		note = fmt.Sprintf("there is data of another user in %s, which is not used here: run this as that user to continue with it", u.SystemDir)
	}
	return own, note
}

// stateDir is a user's directory; empty if the user has no home.
func (u User) stateDir(home, state string) string {
	switch {
	case filepath.IsAbs(state): // others are ignored, as the specification says
		return filepath.Join(state, "stackscope")
	case filepath.IsAbs(home):
		return filepath.Join(home, ".local", "state", "stackscope")
	}
	return ""
}

// beforeSudo returns the data directory of the user who runs this with sudo if it holds file.
func (u User) beforeSudo(file string) string {
	name := u.Getenv("SUDO_USER")
	if name == "" || name == "root" {
		return ""
	}
	who, err := user.Lookup(name)
	if err != nil {
		return ""
	}
	dir := u.stateDir(who.HomeDir, "")
	if dir == "" || !present(filepath.Join(dir, file)) {
		return ""
	}
	return dir
}

// present reports whether there is a file, also one in a directory that this user cannot read.
func present(path string) bool {
	_, err := os.Stat(path)
	return err == nil || errors.Is(err, fs.ErrPermission)
}

// writable reports whether this user may make files in dir.
func writable(dir string) bool {
	f, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return false
	}
	return errors.Join(f.Close(), os.Remove(f.Name())) == nil
}

// Port returns the port for a user who names none: 80, or 8080 where port 80 of host needs root.
func (u User) Port(host string) int {
	if u.Root || u.Container {
		return SystemPort
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(SystemPort)))
	if err == nil {
		_ = ln.Close() // only whether it may be opened is asked
	}
	if errors.Is(err, syscall.EACCES) {
		return UserPort
	}
	return SystemPort
}

// InContainer reports whether this process is what a container of Docker, Podman or Kubernetes is there for: its first process, or the only
// one of an init that the container engine adds. A shell in a container is a machine like others.
func InContainer(getenv func(string) string) bool {
	if os.Getpid() != 1 && os.Getppid() != 1 {
		return false
	}
	return getenv("KUBERNETES_SERVICE_HOST") != "" || present("/.dockerenv") || present("/run/.containerenv")
}
