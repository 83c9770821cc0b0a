package simgrafana

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// parseArgs returns the home and the arguments that are not flags.
func parseArgs(args []string) (home string, words []string, err error) {
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "--homepath" && i+1 < len(args):
			i++
			home = args[i]
		case strings.HasPrefix(args[i], "--homepath="):
			home = strings.TrimPrefix(args[i], "--homepath=")
		default:
			words = append(words, args[i])
		}
	}
	if home == "" {
		return "", nil, errors.New("could not find config defaults, make sure homepath command line parameter is set or working directory is homepath")
	}
	return home, words, nil
}

// begin parses the arguments and loads the settings, for server and cli.
func begin(args []string) (home string, words []string, s settings, p Play, err error) {
	if home, words, err = parseArgs(args); err != nil {
		return "", nil, nil, Play{}, err
	}
	if s, err = loadSettings(home); err != nil {
		return "", nil, nil, Play{}, err
	}
	p, err = readPlay(home)
	return home, words, s, p, err
}

// runCLI simulates `grafana cli`. It also logs its arguments to cli.log in the data folder.
func runCLI(args []string) int {
	_, words, s, p, err := begin(args)
	if err != nil {
		return fail(err)
	}
	if note, err := os.OpenFile(s.get("paths", "data")+"/cli.log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
		fmt.Fprintln(note, strings.Join(words, " "))
		_ = note.Close()
	}
	if p.CLIEnds != "" {
		return fail(errors.New(p.CLIEnds))
	}
	if !slices.Equal(words, []string{"admin", "reset-admin-password", "--password-from-stdin"}) {
		return fail(fmt.Errorf("unknown command %q", words))
	}
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fail(err)
	}
	db, err := openDatabase(s, p, newLogger(s))
	if err != nil {
		return fail(err)
	}
	if err := db.setPassword(strings.TrimRight(line, "\r\n")); err != nil {
		return fail(err)
	}
	fmt.Println("Admin password changed successfully ✔")
	return 0
}

// runServer simulates `grafana server` until a signal ends it.
func runServer(args []string) int {
	home, _, s, p, err := begin(args)
	if err != nil {
		return fail(err)
	}
	l := newLogger(s)
	go endBySignal(l, p.IgnoresSIGTERM)
	l.line("info", "settings", "Starting Grafana", "version", p.Version, "commit", "stand-in")
	if p.Ends != "" {
		l.line("error", "server", "Something small", "error", "context canceled")
		return fail(errors.New(p.Ends))
	}
	time.Sleep(p.StartUp)
	for p.Hangs {
		time.Sleep(time.Hour)
	}
	db, err := openDatabase(s, p, l)
	if err != nil {
		return fail(err)
	}
	if p.Locked {
		l.line("error", "ngalert.state.manager", "Failed to save the state", "error", "database is locked (5) (SQLITE_BUSY)")
	}
	provisioned, err := loadProvisioning(s.get("paths", "provisioning"), l)
	if err != nil {
		return fail(err)
	}
	provisioned.load(s.under(home, "paths", "bundled_plugins"), p.Version)
	ln, err := listen(s, p.PortTaken)
	if err != nil {
		return fail(err)
	}
	l.line("info", "http.server", "HTTP Server Listen", "address", ln.Addr().String(), "protocol", "http", "subUrl", s.rootURL().Path)
	server := &http.Server{Handler: newHandler(home, s, db, provisioned, l), ReadHeaderTimeout: time.Minute}
	return fail(server.Serve(ln))
}

func listen(s settings, taken bool) (net.Listener, error) {
	addr := net.JoinHostPort(s.get("server", "http_addr"), s.get("server", "http_port"))
	if taken {
		other, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, err
		}
		defer other.Close()
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("*api.HTTPServer run error: failed to open listener on address %s: %w", addr, err)
	}
	return ln, nil
}

func endBySignal(l logger, ignore bool) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	for sig := range signals {
		l.line("info", "server", "Shutdown started", "reason", "System signal: "+sig.String())
		if !ignore {
			os.Exit(0)
		}
	}
}
