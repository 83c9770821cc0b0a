package certfile_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/base/certfile"
	"github.com/stackscope/stackscope/internal/base/testcert"
)

const soon = 3 * time.Second

func TestPairIsTakenUpAsOne(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ca := testcert.NewAuthority(t, "one")
	ca.Write(t, certFile, keyFile, "a")
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p, err := certfile.LoadPair(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		leaf := func() []byte {
			time.Sleep(soon)
			c, err := p.GetCertificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			return c.Certificate[0]
		}
		first := leaf()
		cert, key := ca.Sign(t, "b")
		testcert.WriteFile(t, certFile, cert)
		for range 3 {
			if !bytes.Equal(leaf(), first) {
				t.Error("half of a new pair is used")
			}
		}
		if got := strings.Count(log.String(), "stay in use"); got != 1 {
			t.Errorf("logged %d times: %s", got, log.String())
		}
		testcert.WriteFile(t, keyFile, key)
		second := leaf()
		if bytes.Equal(second, first) {
			t.Error("the new pair isn't used")
		}
		if !p.Shown(first) || !p.Shown(second) || p.Shown([]byte("x")) {
			t.Error("it doesn't know which certificates were its own")
		}
		if err := os.Remove(keyFile); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(leaf(), second) {
			t.Error("the pair is lost with its file")
		}
	})
}

// Files are not looked at with each of many connections.
func TestPairIsLookedAtNowAndThen(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ca := testcert.NewAuthority(t, "one")
	ca.Write(t, certFile, keyFile, "a")
	synctest.Test(t, func(t *testing.T) {
		p, err := certfile.LoadPair(certFile, keyFile, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		first, _ := p.GetCertificate(nil)
		ca.Write(t, certFile, keyFile, "b")
		if now, _ := p.GetCertificate(nil); now != first {
			t.Error("the files are looked at again within the same second")
		}
		time.Sleep(soon)
		if now, _ := p.GetCertificate(nil); now == first {
			t.Error("the new pair isn't used")
		}
	})
}

func TestFaultyPairs(t *testing.T) {
	dir := t.TempDir()
	ca := testcert.NewAuthority(t, "one")
	a, b, key := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "key")
	ca.Write(t, a, key, "a")
	ca.Write(t, b, filepath.Join(dir, "other"), "b")
	for _, tt := range []struct{ cert, key, want string }{
		{filepath.Join(dir, "no"), key, "the certificate can't be read: no such file"},
		{a, filepath.Join(dir, "no"), "the key can't be read: no such file"},
		{b, key, "private key does not match"},
	} {
		if _, err := certfile.LoadPair(tt.cert, tt.key, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
}

func TestAuthoritiesAreTakenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	one, two := testcert.NewAuthority(t, "one"), testcert.NewAuthority(t, "two")
	testcert.WriteFile(t, path, one.PEM)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a, err := certfile.LoadAuthorities(path, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if !a.Pool().Equal(one.Pool()) {
			t.Error("the first authority isn't there")
		}
		time.Sleep(soon)
		testcert.WriteFile(t, path, two.PEM)
		if !a.Pool().Equal(two.Pool()) {
			t.Error("the second authority isn't there")
		}
		testcert.WriteFile(t, path, []byte("nothing"))
		for range 3 {
			time.Sleep(soon)
			if !a.Pool().Equal(two.Pool()) {
				t.Error("the authority is lost with its file")
			}
		}
		if got := strings.Count(log.String(), "stay in use"); got != 1 {
			t.Errorf("logged %d times: %s", got, log.String())
		}
	})
	for content, want := range map[string]string{"nothing": "no certificate", "-": "no such file"} {
		file := filepath.Join(t.TempDir(), "ca.pem")
		if content != "-" {
			testcert.WriteFile(t, file, []byte(content))
		}
		if _, err := certfile.LoadAuthorities(file, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

// What couldn't be used is read again, also where its time, size and inode are as they were: a change of its owner or mode shows in none.
func TestFaultyFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile, caFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
	one, two := testcert.NewAuthority(t, "one"), testcert.NewAuthority(t, "two")
	one.Write(t, certFile, keyFile, "a")
	testcert.WriteFile(t, caFile, one.PEM)
	cert, key := two.Sign(t, "b")
	moment := time.Now().Add(-time.Hour)
	write := func(path string, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, moment, moment); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		p, err := certfile.LoadPair(certFile, keyFile, logger)
		if err != nil {
			t.Fatal(err)
		}
		a, err := certfile.LoadAuthorities(caFile, logger)
		if err != nil {
			t.Fatal(err)
		}
		first, _ := p.GetCertificate(nil)
		write(keyFile, key)
		for _, file := range []struct {
			path string
			size int
		}{{certFile, len(cert)}, {caFile, len(two.PEM)}} {
			write(file.path, bytes.Repeat([]byte{'x'}, file.size))
		}
		for range 3 {
			time.Sleep(soon)
			if now, _ := p.GetCertificate(nil); now != first || !a.Pool().Equal(one.Pool()) {
				t.Error("what can't be used is used")
			}
		}
		if got := strings.Count(log.String(), "stay in use"); got != 2 {
			t.Errorf("logged %d times: %s", got, log.String())
		}
		write(certFile, cert)
		write(caFile, two.PEM)
		time.Sleep(soon)
		if now, _ := p.GetCertificate(nil); now == first {
			t.Error("the new pair isn't used")
		}
		if !a.Pool().Equal(two.Pool()) {
			t.Error("the new authority isn't used")
		}
	})
}
