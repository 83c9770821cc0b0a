package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
)

func examined() *wire.Doctor {
	quick, slow := 0.003, 4.98
	return &wire.Doctor{
		Subject: wire.DoctorSubject{Kind: wire.DoctorInstance, ID: 7, Name: "llama-0"},
		Summary: "The engine of instance llama-0 refuses connections at http://10.0.0.7:8000.",
		Findings: []wire.DoctorFinding{
			{
				ID: "engine_refused", Severity: wire.FindingError, Subject: wire.DoctorSubject{Kind: wire.DoctorInstance, ID: 7, Name: "llama-0"}, Hop: wire.HopEndpoint,
				What: "Nothing listens at the engine's address.", Seen: "connect: connection refused\x1b[31m",
				Do:   "Start the engine, or declare its right port with --engine url=http://HOST:PORT on the worker gpu-1; its own log says why it ended.",
				Docs: "discovery.md#when-an-engine-is-missing",
			},
			{ID: "worker_version", Severity: wire.FindingWarning, Subject: wire.DoctorSubject{Kind: wire.DoctorWorker, ID: 1, Name: "gpu-1"}, What: "It is older than the server.", Seen: "0.9.0", Do: "Update it."},
		},
		Paths: []wire.DoctorPath{{InstanceID: 7, InstanceName: "llama-0", WorkerID: 1, WorkerName: "gpu-1", Hops: []wire.DoctorHop{
			{Hop: wire.HopWorker, State: wire.HopOK, Seen: "reported 3 s ago", Seconds: &quick},
			{Hop: wire.HopEndpoint, State: wire.HopBroken, Seen: "dial tcp 10.0.0.7:8000: connect: connection refused, for the last 12 minutes", Findings: []string{"engine_refused"}},
			{Hop: wire.HopPage, State: wire.HopUnknown, Seen: "there is none"},
			{Hop: wire.HopWorkerPage, State: wire.HopWarning, Seen: "slow", Seconds: &slow},
			{Hop: wire.HopStorage, State: wire.HopBroken, Seen: "no samples"},
		}}},
		PathsLeftOut: 2,
	}
}

func TestPrintDoctor(t *testing.T) {
	var out strings.Builder
	if err := printDoctor(terminal.Screen{Writer: &out, Width: 80}, examined()); err != nil {
		t.Fatal(err)
	}
	want := `The engine of instance llama-0 refuses connections at http://10.0.0.7:8000.

ERROR  engine_refused  instance llama-0, at endpoint
  What  Nothing listens at the engine's address.
  Seen  connect: connection refused` + "\uFFFD" + `[31m
  Do    Start the engine, or declare its right port with --engine
        url=http://HOST:PORT on the worker gpu-1; its own log says why it ended.
  Docs  docs/discovery.md#when-an-engine-is-missing

WARNING  worker_version  worker gpu-1
  What  It is older than the server.
  Seen  0.9.0
  Do    Update it.

The way of instance llama-0 on worker gpu-1
  ok  worker          3 ms  reported 3 s ago
> x   endpoint              dial tcp 10.0.0.7:8000: connect: connection refused,
                            for the last 12 minutes (engine_refused)
  ?   page                  there is none
  !   worker page    5.0 s  slow
  x   storage               no samples

2 more ways were not walked: name an instance or a worker to see its own.
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	plain := out.String()
	out.Reset()
	if err := printDoctor(terminal.Screen{Writer: &out, Width: 80, Colour: true}, examined()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\x1b[31m> x\x1b[0m   \x1b[31mendpoint   \x1b[0m") {
		t.Errorf("the first broken hop does not stand out: %q", out.String())
	}
	bare := out.String()
	for _, style := range []terminal.Style{terminal.Strong, terminal.Faint, terminal.Good, terminal.Warning, terminal.Bad} {
		bare = strings.ReplaceAll(bare, "\x1b["+string(style)+"m", "")
	}
	if diff := cmp.Diff(plain, strings.ReplaceAll(bare, "\x1b[0m", "")); diff != "" {
		t.Errorf("colours move something: %s", diff)
	}
}

// TestPrintFleet: of the whole fleet, ways without a fault need a word each.
func TestPrintFleet(t *testing.T) {
	d := examined()
	d.Subject, d.Findings, d.PathsLeftOut = wire.DoctorSubject{Kind: wire.DoctorFleet}, nil, 0
	good := []wire.DoctorHop{{Hop: wire.HopWorker, State: wire.HopOK}, {Hop: wire.HopScrape, State: wire.HopOK}}
	d.Paths = append(d.Paths, wire.DoctorPath{WorkerName: "gpu-2", Hops: good}, wire.DoctorPath{InstanceName: "qwen-0", WorkerName: "gpu-2", Hops: good})
	var out strings.Builder
	if err := printDoctor(terminal.Screen{Writer: &out, Width: 60}, d); err != nil {
		t.Fatal(err)
	}
	const want = "\n  ok  every hop of worker gpu-2; instance qwen-0 on worker\n      gpu-2\n"
	if !strings.HasSuffix(out.String(), want) || !strings.Contains(out.String(), "The way of instance llama-0") {
		t.Errorf("printed:\n%s", out.String())
	}
}

// runDoctor returns what a doctor prints and its exit code.
func runDoctor(t *testing.T, c doctorCmd) (out, errs string, code int) {
	t.Helper()
	var stdout, stderr strings.Builder
	err := c.Run(&command.Env{Context: t.Context(), Stdout: &stdout, Stderr: &stderr})
	coded, ok := errors.AsType[*command.CodeError](err)
	switch {
	case ok:
		code = coded.Code
	case err != nil:
		code = 1
		if !errors.Is(err, command.ErrSaid) {
			stderr.WriteString(err.Error())
		}
	}
	return stdout.String(), stderr.String(), code
}

func TestDoctor(t *testing.T) {
	asked, busy := "", 1
	answer := examined()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.RequestURI()
		if busy--; busy >= 0 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"detail":"busy"}`))
			return
		}
		if answer == nil {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"detail":"this path does not exist; /openapi.json lists those that do"}`))
			return
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	at := remote{ServerURL: server.URL}

	out, errs, code := runDoctor(t, doctorCmd{remote: at, Subject: "llama-0"})
	if code != 3 || errs != "" || !strings.Contains(out, "> x   endpoint") || asked != "/v2/doctor?subject=llama-0" {
		t.Errorf("%s: exit code %d: %s%s", asked, code, out, errs)
	}
	answer.Findings = answer.Findings[1:]
	out, _, code = runDoctor(t, doctorCmd{remote: at, Worker: "a b", JSON: true})
	var d wire.Doctor
	if err := json.Unmarshal([]byte(out), &d); err != nil || code != 0 || d.Subject.Name != "llama-0" || asked != "/v2/doctor?worker=a+b" {
		t.Errorf("%s: exit code %d: %v: %s", asked, code, err, out)
	}
	answer = nil
	if out, errs, code = runDoctor(t, doctorCmd{remote: at}); code != 1 || out != "" || !strings.Contains(errs, "the server is older and has no doctor; update it") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	for _, c := range []doctorCmd{{Subject: "a", Instance: "b"}, {Subject: "a", Bundle: "b"}, {JSON: true, Bundle: "b"}} {
		c.remote = at
		if out, errs, code := runDoctor(t, c); code != 1 || out != "" || errs == "" {
			t.Errorf("%+v: exit code %d: %s%s", c, code, out, errs)
		}
	}
}

// TestDoctorWithoutServer: it says how far a request comes, and what the worker of this machine says.
func TestDoctorWithoutServer(t *testing.T) {
	worker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("stackscope_build_info{version=\"1.2.3\"} 1\ngpustack:metrics_config_applied_generation 4\n" +
			"gpustack:collector_success{collector=\"disk\"} 0\ngpustack:collector_success{collector=\"cpu\"} 1\n" +
			"stackscope_missing_access{access=\"kernel_log\"} 1\nstackscope_missing_access{access=\"of_a_newer_version\"} 1\n" +
			"gpustack:runtime_scrape_success{model_instance_name=\"llama-0\"} 0\ngpustack:runtime_scrape_success{model_instance_name=\"llama-1\"} 1\n"))
	}))
	t.Cleanup(worker.Close)
	_, port, _ := net.SplitHostPort(worker.Listener.Addr().String())
	t.Setenv(workerMetricsPortEnv, port)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	other := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	ended := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(ended.Close)
	for _, tt := range []struct {
		url  string
		want []string
	}{
		{closed.URL, []string{"  ok  address", "> x   connection", "connection refused", "start the server there", "--server-url http://127.0.0.1:PORT"}},
		{"http://stackscope.invalid", []string{"> x   dns", "check"}},
		{other.URL, []string{"  ok  connection", "> x   tls", "authority", "--ca-file"}},
		{ended.URL, []string{"  ok  http", "every step works now"}},
	} {
		out, errs, code := runDoctor(t, doctorCmd{remote: remote{ServerURL: tt.url}})
		if code != 1 || !strings.Contains(errs, "examine at "+tt.url) {
			t.Errorf("%s: exit code %d: %s", tt.url, code, errs)
		}
		for _, want := range append(tt.want, "version    1.2.3", "generation 4", "1 are read, 1 are not: llama-0", "these fail: disk;", "not seen kernel_log: GPU errors in the kernel log. GPU errors that", "--device /dev/kmsg", "of_a_newer_version") {
			if !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(want), " ")) {
				t.Errorf("%s: lacks %q:\n%s", tt.url, want, out)
			}
		}
	}
	worker.Close()
	out, _, _ := runDoctor(t, doctorCmd{remote: remote{ServerURL: closed.URL}, JSON: true})
	var r reach
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Worker != nil || len(r.Steps) != 2 || r.Steps[1].State != wire.HopBroken || r.Do == "" {
		t.Errorf("%v: %s", err, out)
	}
}

func archive(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	w := tar.NewWriter(zipped)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(text)), ModTime: time.Unix(0, 0)}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestWriteBundle(t *testing.T) {
	whole := archive(t, map[string]string{manifestFile: "versions.txt  12 bytes\x1b[2J\n"})
	answer := whole
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/gzip")
		_, _ = w.Write(answer)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	path := filepath.Join(dir, "bundle.tar.gz")
	c := doctorCmd{remote: remote{ServerURL: server.URL}, Bundle: path}
	left := func(want int) {
		t.Helper()
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != want {
			t.Errorf("the directory has %v: %v", entries, err)
		}
	}

	for name, text := range map[string][]byte{
		"cut": whole[:len(whole)-9], "no archive": []byte("<html>"), "no list": archive(t, map[string]string{"a": "b"}), "nothing": nil,
	} {
		answer = text
		if _, errs, code := runDoctor(t, c); code != 1 || !strings.Contains(errs, "not whole") {
			t.Errorf("%s: exit code %d: %s", name, code, errs)
		}
		left(0)
	}
	answer = whole
	out, errs, code := runDoctor(t, c)
	if code != 0 || errs != "" || !strings.HasPrefix(out, "versions.txt  12 bytes\uFFFD[2J\n") || !strings.Contains(out, "Look at it before you send it") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	left(1)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: %v", info, err)
	}
	answer = archive(t, map[string]string{manifestFile: "another"})
	if _, errs, code = runDoctor(t, c); code != 1 || !strings.Contains(errs, "not overwritten") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if data, err := os.ReadFile(path); err != nil || !bytes.Equal(data, whole) {
		t.Errorf("the file is another: %v", err)
	}
	c.Bundle = filepath.Join(dir, "no", "bundle.tar.gz")
	if _, errs, code = runDoctor(t, c); code != 1 || !strings.Contains(errs, "no such file or directory") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	c.Bundle = "-"
	if _, errs, code = runDoctor(t, c); code != 1 || !strings.Contains(errs, "--bundle -: give a file") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if err := appear(path, path); err == nil {
		t.Error("a file is replaced")
	}
}

// An interrupted bundle is none: the exit code says so.
func TestWriteBundle_Interrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/gzip")
		w.WriteHeader(http.StatusOK)
		cancel()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	cl, err := client.New(client.Options{BaseURL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	err = writeBundle(&command.Env{Context: ctx, Stdout: io.Discard, Stderr: io.Discard}, cl, filepath.Join(dir, "b"))
	if err == nil || errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v are left: %v", left, err)
	}
}
