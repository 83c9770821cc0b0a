package docs_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/simgrafana"
)

func TestSizingPage(t *testing.T) {
	needPrograms(t)
	newGuide(t, page("sizing.md"), simgrafana.Home(t)).follow()
}

// The page's archive is made of the built programs, and comes from a server of the test.
func TestBinaryPage(t *testing.T) {
	needPrograms(t)
	g := newGuide(t, page("install/binary.md"), simgrafana.Home(t))
	g.asUser()
	g.homeServer("user")
	g.env = append(g.env, "RELEASES="+archives(t, g.bin))
	g.follow()
}

// archives serves an archive as a release has it, and returns the address of all releases.
func archives(t *testing.T, bin string) string {
	t.Helper()
	name := "stackscope_0.1.0_linux_" + runtime.GOARCH
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, path := range []string{filepath.Join(bin, "stackscope"), filepath.Join(bin, "stackscope-worker"), filepath.Join("..", "..", "LICENSE"), filepath.Join("..", "..", "README.md")} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteHeader(&tar.Header{Name: name + "/" + filepath.Base(path), Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	// A release has several archives; the others are not downloaded.
	sums := fmt.Sprintf("%x  %s.tar.gz\n%x  stackscope-worker_0.1.0_linux_%s.tar.gz\n", sha256.Sum256(packed.Bytes()), name, sha256.Sum256(nil), runtime.GOARCH)
	mux := http.NewServeMux()
	mux.HandleFunc("/v0.1.0/"+name+".tar.gz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(packed.Bytes()) })
	mux.HandleFunc("/v0.1.0/SHA256SUMS", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(sums)) })
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

// A stand-in has GPUStack's ports and answers queries. The page's ports and GPUStack's are others here.
func TestGPUStackPage(t *testing.T) {
	needPrograms(t)
	g := newGuide(t, page("install/gpustack.md"), simgrafana.Home(t))
	s := g.newServer()
	g.servers["beside"] = s
	gpustack, ports := standIn(t)
	for i, name := range []string{"GPUSTACK_PORT", "GPUSTACK_METRICS_PORT", "GPUSTACK_WORKER_METRICS_PORT"} {
		s.more = append(s.more, name+"="+strconv.Itoa(ports[i]))
	}
	g.replace = strings.NewReplacer("--port 8080", "--port "+strconv.Itoa(s.port), "--metrics-port 20161", "--metrics-port "+strconv.Itoa(s.metrics),
		"--worker-metrics-port 20151", "--worker-metrics-port "+strconv.Itoa(s.worker), "http://SERVER:8080", "http://SERVER", "http://GPUSTACK", gpustack)
	g.parts = map[string]func(*testing.T, *block) error{
		"collision": func(t *testing.T, b *block) error {
			t.Helper()
			b.fails, b.output = true, strings.ReplaceAll(b.output, "port 80 ", "port "+strconv.Itoa(ports[0])+" ")
			return g.once(t.Context(), b, b.text, append(append([]string{}, g.env...), s.env()...), startLimit)
		},
	}
	g.follow()
}

// standIn listens on three ports, as a GPUStack does for its API, its server's and its worker's metrics. The first one answers queries with
// the names of three metrics.
func standIn(t *testing.T) (url string, ports []int) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var all []string
		for _, name := range []string{"gpustack:worker_node_uptime_seconds", "gpustack:cluster_info", "gpustack:of_gpustack_alone"} {
			all = append(all, fmt.Sprintf(`{"metric":{"__name__":%q},"value":[1,"1"]}`, name))
		}
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, strings.Join(all, ","))
	}))
	t.Cleanup(api.Close)
	for _, address := range []net.Addr{api.Listener.Addr(), listen(t), listen(t)} {
		ports = append(ports, address.(*net.TCPAddr).Port)
	}
	return api.URL, ports
}

func listen(t *testing.T) net.Addr {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr()
}
