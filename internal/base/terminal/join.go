package terminal

import (
	"os"
	"os/user"
	"path"
	"slices"
	"strings"
)

// Join is how a worker joins a server.
type Join struct {
	// Server is the address for --server-url.
	Server string
	// TokenFile is the join token's file on the server's machine.
	TokenFile string
	// Login is the server's machine for scp, as USER@HOST. Empty: the worker is on the same machine.
	Login string
	// Container is the name of the container that the server runs in; empty: it runs in none.
	Container string
	// Flags are further flags of the worker.
	Flags []string
}

// Step returns the commands, ready to be copied.
func (j Join) Step() Step {
	token := Quote(j.TokenFile)
	worker := func(file string) string {
		words := []string{"stackscope-worker", "--server-url", Quote(j.Server), "--token-file", file}
		for _, flag := range j.Flags {
			words = append(words, Quote(flag))
		}
		return strings.Join(words, " ")
	}
	switch {
	case j.Container != "":
		return Step{"A worker joins with these commands, the first on this container's machine; HOST is that machine, with the published port", []string{
			"docker cp " + Quote(j.Container+":"+j.TokenFile) + " worker-token", worker("worker-token"),
		}}
	case j.Login != "":
		return Step{"A worker joins with these commands on its machine; the first one copies the join token", []string{
			"scp " + Quote(j.Login+":"+j.TokenFile) + " worker-token", worker("worker-token"),
		}}
	}
	return Step{"A worker joins with this command, on this machine only; --host 0.0.0.0 opens the server to others", []string{worker(token)}}
}

// Login is the user for scp at a host: this one, or root where nobody can log in as this one, as with the user of a service.
func Login(host string) string {
	if strings.Contains(host, ":") { // IPv6
		host = "[" + strings.Trim(host, "[]") + "]"
	}
	u, err := user.Current()
	if err != nil {
		return host
	}
	users, err := os.ReadFile("/etc/passwd")
	if err == nil && noShell(string(users), u.Username) {
		return "root@" + host
	}
	return u.Username + "@" + host
}

// noShell says that the lines of /etc/passwd give a user no shell to log in with. A user who is not there is another directory's.
func noShell(users, name string) bool {
	for line := range strings.Lines(users) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); len(fields) == 7 && fields[0] == name {
			return slices.Contains([]string{"nologin", "false"}, path.Base(fields[6]))
		}
	}
	return false
}
