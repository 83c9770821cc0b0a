package server_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/stackscope/stackscope/internal/base/testcert"
	"github.com/stackscope/stackscope/internal/server"
)

// That the metrics ports are open is said where they are: passwords and verified certificates of clients close them.
func TestOpenMetricsPortsAreTold(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ca := testcert.NewAuthority(t, "one")
	ca.Write(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), "127.0.0.1")
	testcert.WriteFile(t, filepath.Join(dir, "ca.pem"), ca.PEM)
	const pair = "tls_server_config: {cert_file: cert.pem, key_file: key.pem"
	for text, want := range map[string]bool{
		"":         true,
		pair + "}": true,
		pair + ", client_auth_type: RequireAnyClientCert}":                               true,
		pair + ", client_auth_type: RequireAndVerifyClientCert}":                         true, // by any authority that the system knows
		pair + ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem}": false,
		fmt.Sprintf("basic_auth_users: {prometheus: %q}", hash):                          false,
	} {
		o := options(t)
		var log bytes.Buffer
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.DisableAnonymousViewer = true
		if text != "" {
			o.WebConfigFile = filepath.Join(dir, "web.yml")
			testcert.WriteFile(t, o.WebConfigFile, []byte(text+"\n"))
		}
		s, err := server.New(t.Context(), o)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if got := strings.Contains(log.String(), "leaves the metrics ports open"); got != want {
			t.Errorf("%s: told %t, want %t: %s", text, got, want, log.String())
		}
	}
}
