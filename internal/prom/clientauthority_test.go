package prom

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/base/testcert"
)

// Credentials for whomever any authority vouches for are told; without credentials there is nothing to give away.
func TestCredentialsWithoutAuthority(t *testing.T) {
	t.Parallel()
	const user = "basic_auth: {username: a, password: b}\n"
	for text, want := range map[string]bool{
		user: true,
		user + "tls_config: {min_version: TLS13}\n":   true,
		"authorization: {credentials: b}\n":           true,
		"http_headers: {X-Token: {secrets: [b]}}\n":   true,
		user + "tls_config: {ca_file: ca.pem}\n":      false,
		user + "tls_config: {server_name: workers}\n": false,
		"tls_config: {min_version: TLS13}\n":          false,
	} {
		dir := t.TempDir()
		testcert.WriteFile(t, filepath.Join(dir, "ca.pem"), testcert.NewAuthority(t, "one").PEM)
		log := warningsOf(t, dir, text)
		if got := strings.Contains(log, "publicly trusted"); got != want {
			t.Errorf("%s: warned: %v, want %v: %s", text, got, want, log)
		}
	}
}
