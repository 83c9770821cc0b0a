package grafana

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", path, d)
	}
}

func environment(t *testing.T, o Options) string {
	t.Helper()
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(g.environment(13000), "\n") + "\n"
}

func TestEnvironment(t *testing.T) {
	o := valid()
	o.Dir = "/var/lib/stackscope/grafana"
	golden(t, "environment.txt", environment(t, o))

	o.ExternalURL, o.AdminPassword, o.MemoryLimit = "https://obs.example.com/a/grafana", "correct horse", 1<<30
	o.Environ = []string{
		"PATH=/usr/bin", "HTTPS_PROXY=http://proxy:3128", "GOMEMLIMIT=3GiB",
		// secrets and sockets of ours
		"GPUSTACK_TOKEN=t", "STACKSCOPE_BIN=b", "NOTIFY_SOCKET=/run/systemd/notify", "LISTEN_FDS=1", "WATCHDOG_USEC=1",
		// the operator's, which win
		"GF_AUTH_ANONYMOUS_ENABLED=false", "GF_AUTH_DISABLE_LOGIN_FORM=false", "GF_SMTP_ENABLED=true", "GF_PLUGINS_PREINSTALL=some-app", "GF_LOG_LEVEL=debug", "GF_SECURITY_COOKIE_SECURE=false",
		"GF_ANALYTICS_REPORTING_ENABLED=", // nothing
		// the operator's, which don't
		"GF_SERVER_HTTP_ADDR=0.0.0.0", "GF_SERVER_HTTP_PORT=80", "GF_SERVER_ROOT_URL=http://else.example.com", "GF_SERVER_PROTOCOL=h2", "GF_SERVER_SERVE_FROM_SUB_PATH=false",
		"GF_PATHS_DATA=/d", "GF_PATHS_PROVISIONING=/p", "GF_PATHS_PLUGINS=/g", "GF_LOG_MODE=file", "GF_SECURITY_ADMIN_PASSWORD=theirs",
	}
	golden(t, "environment-operator.txt", environment(t, o))
}

func TestCookiesAreSecureUnderTLS(t *testing.T) {
	o := valid()
	o.PrometheusURL, o.InsecureTLS = "https://127.0.0.1:8443/prometheus", true
	const secure = "GF_SECURITY_COOKIE_SECURE=true\n"
	if got := environment(t, o); !strings.Contains(got, secure) {
		t.Errorf("our server speaks TLS, yet:\n%s", got)
	}
	o.ExternalURL = "http://obs.example.com/grafana"
	if got := environment(t, o); strings.Contains(got, secure) {
		t.Errorf("browsers come by HTTP, yet:\n%s", got)
	}
}

func TestOperatorsRootURL(t *testing.T) {
	o := valid()
	o.Environ = []string{"GF_SERVER_ROOT_URL=https://grafana.example.com/grafana", "GF_SECURITY_ADMIN_PASSWORD=theirs"}
	got := environment(t, o)
	for _, want := range []string{"GF_SERVER_ROOT_URL=https://grafana.example.com/grafana/\n", "GF_SECURITY_ADMIN_PASSWORD=theirs\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}
