package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/server"
)

func TestSettle(t *testing.T) {
	home := func(name string) string { return map[string]string{"HOME": "/home/u"}[name] }
	someone := command.User{SystemDir: command.SystemDataDir, Writable: func(string) bool { return false }, Getenv: home}
	root := command.User{Root: true, SystemDir: command.SystemDataDir, Getenv: home}
	port := someone.Port("127.0.0.1") // what this machine lets its users open
	f := serverFlags{Host: "127.0.0.1"}
	notes := f.settle(someone)
	want := "data in /home/u/.local/state/stackscope"
	if port != command.SystemPort {
		want = "port 8080 instead of 80, " + want
	}
	if diff := cmp.Diff([]string{"not root: " + want}, notes); diff != "" || *f.Port != port || f.DataDir != "/home/u/.local/state/stackscope" {
		t.Errorf("%+v: %s", f, diff)
	}
	f = serverFlags{Host: "127.0.0.1"}
	if notes := f.settle(root); notes != nil || *f.Port != command.SystemPort || f.DataDir != command.SystemDataDir {
		t.Errorf("root: %+v, %v", f, notes)
	}
	f = serverFlags{Port: new(9000), DataDir: "/d"}
	if notes := f.settle(someone); notes != nil || *f.Port != 9000 || f.DataDir != "/d" || f.chosenPort {
		t.Errorf("both are given: %+v, %v", f, notes)
	}
	f = serverFlags{DataDir: "/d", TLSCert: "cert.pem"} // the port is not opened
	if notes := f.settle(someone); notes != nil || f.Port != nil {
		t.Errorf("with a certificate: %+v, %v", f, notes)
	}
}

func TestTakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f := serverFlags{Port: new(taken.Addr().(*net.TCPAddr).Port)}
	o := server.DefaultOptions()
	o.Host, o.Port, o.DataDir = "127.0.0.1", *f.Port, t.TempDir()
	for chosen, want := range map[bool]string{true: ", for example --port " + strconv.Itoa(*f.Port+1), false: "choose another port with --port"} {
		f.chosenPort = chosen
		if _, err := f.open(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "for example") != chosen {
			t.Errorf("%t: %v", chosen, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		bound             string
		secure, container bool
		external          string
		local, outer      string // outer * is any that is not empty
	}{
		{bound: "127.0.0.1:8080", local: "http://localhost:8080"},
		{bound: "[::1]:80", local: "http://localhost"},
		{bound: "[::]:80", local: "http://localhost", outer: "*"},
		{bound: "0.0.0.0:8080", external: "https://obs.example.com/", local: "http://localhost:8080", outer: "https://obs.example.com"},
		{bound: "10.0.0.7:8080", outer: "http://10.0.0.7:8080"},
		{bound: "[2001:db8::7]:80", outer: "http://[2001:db8::7]"},
		{bound: "0.0.0.0:443", secure: true, outer: "https://" + name},
		{bound: "0.0.0.0:8443", secure: true, external: "https://obs.example.com", outer: "https://obs.example.com"},
		{bound: "0.0.0.0:80", container: true, outer: "http://HOST"},
	} {
		local, outer := addresses(t.Context(), c.bound, c.secure, c.external, c.container)
		if local != c.local || outer != c.outer && (c.outer != "*" || outer == "") {
			t.Errorf("%+v: %q, %q", c, local, outer)
		}
	}
}

func TestGreeting(t *testing.T) {
	const token = "/var/lib/stackscope/worker-token"
	title := "stackscope server, version " + buildinfo.Get().Version
	full := greeting{
		title: "stackscope server", local: "http://localhost:8080", outer: "http://10.0.0.7:8080", tokenFile: token, prometheus: true, grafana: "/grafana/",
		workerAddr: "[::]:10151", hasWorker: true, notes: []string{"not root: port 8080 instead of 80"},
	}
	for _, c := range []struct {
		name string
		g    greeting
		want string
	}{
		{"everything", full, `
` + title + `

  console            http://localhost:8080/
                     http://10.0.0.7:8080/  (from other machines)
  Prometheus         http://localhost:8080/prometheus/
  Grafana            http://localhost:8080/grafana/  (it starts within some seconds)
  worker's metrics   http://localhost:10151/metrics

A worker joins with these commands on its machine; the first one copies the join token
  scp ` + terminal.Login("10.0.0.7") + `:/var/lib/stackscope/worker-token worker-token
  stackscope-worker --server-url http://10.0.0.7:8080 --token-file worker-token

not root: port 8080 instead of 80

`},
		{"this machine only, another Grafana", greeting{title: "stackscope server", local: "http://localhost:8080", tokenFile: token, grafana: "https://grafana.example.com", hasWorker: true, adminToken: "/d/admin-token"}, `
` + title + `

  console            http://localhost:8080/
  Grafana            https://grafana.example.com
  admin token        /d/admin-token  (the console asks for it)

A worker joins with this command, on this machine only; --host 0.0.0.0 opens the server to others
  stackscope-worker --server-url http://localhost:8080 --token-file /var/lib/stackscope/worker-token --worker-name second --worker-metrics-port 0

`},
		{"a container", greeting{title: "stackscope server", outer: "http://HOST", container: "0123abc", tokenFile: token}, `
` + title + `

  console            http://HOST/

A worker joins with these commands, the first on this container's machine; HOST is that machine, with the published port
  docker cp 0123abc:/var/lib/stackscope/worker-token worker-token
  stackscope-worker --server-url http://HOST --token-file worker-token

`},
	} {
		var out strings.Builder
		c.g.say(&command.Env{Stdout: terminal.Screen{Writer: &out}}, "text", nil)
		if diff := cmp.Diff(c.want, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}

	// Who collects logs as JSON gets nothing else.
	var out, log strings.Builder
	full.say(&command.Env{Stdout: &out}, "json", slog.New(slog.NewJSONHandler(&log, nil)))
	if out.Len() != 0 {
		t.Error(out.String())
	}
	var line struct {
		Console string
		Join    string
		File    string   `json:"join_token_file"`
		Notes   []string `json:"notes"`
	}
	if err := json.Unmarshal([]byte(log.String()), &line); err != nil || line.Console != "http://localhost:8080/" || line.File != token ||
		line.Join != "stackscope-worker --server-url http://10.0.0.7:8080 --token-file worker-token" || !slices.Equal(line.Notes, full.notes) {
		t.Errorf("%v, %s", err, log.String())
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// A closed output keeps no server from running.
func TestGreetingNobodyReads(t *testing.T) {
	var log strings.Builder
	g := greeting{local: "http://localhost"}
	g.say(&command.Env{Stdout: broken{}}, "text", slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if !strings.Contains(log.String(), "broken pipe") {
		t.Error(log.String())
	}
}

func TestServerOfThisMachine(t *testing.T) {
	for name, c := range map[string]struct {
		token     bool
		listening []int
		want      string
		wantErr   []string
	}{
		"system port":           {false, []int{80, 8080}, "http://127.0.0.1", nil},
		"user's port":           {false, []int{8080}, "http://127.0.0.1:8080", nil},
		"a token goes to 80":    {true, []int{8080}, "http://127.0.0.1", nil},
		"nothing listens":       {false, nil, "", []string{"port 80 or 8080", "stackscope start", "--server-url"}},
		"nothing, with a token": {true, nil, "http://127.0.0.1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := pickServer(c.token, func(port int) bool { return slices.Contains(c.listening, port) })
			if got != c.want || (err != nil) != (c.wantErr != nil) {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
			for _, want := range c.wantErr {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v does not say %q", err, want)
				}
			}
		})
	}
}
