package client

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/base/testcert"
)

// A request that waits long does so with the same authorities.
func TestPatientClientKeepsItsAuthorities(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	ca := testcert.NewAuthority(t, "one")
	testcert.WriteFile(t, path, ca.PEM)
	for _, revalidate := range []bool{false, true} {
		c, err := New(Options{BaseURL: "https://127.0.0.1", CAFile: path, Revalidate: revalidate})
		if err != nil {
			t.Fatal(err)
		}
		patient, done := c.patient(time.Minute)
		defer done()
		transport, ok := patient.Transport.(*http.Transport)
		if !ok || transport.ResponseHeaderTimeout != time.Minute || !transport.TLSClientConfig.RootCAs.Equal(ca.Pool()) {
			t.Errorf("revalidate %t: %+v", revalidate, patient.Transport)
		}
	}
}
