package webconfig

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
	"golang.org/x/crypto/bcrypt"

	"github.com/stackscope/stackscope/internal/base/durable"
)

const (
	// maxBytes bounds a web configuration file.
	maxBytes = 1 << 20
	// maxCost bounds the check of a password to some seconds. The toolkit runs one at a time.
	maxCost = 15
)

// protection describes what a file demands of clients.
type protection struct {
	tls, users         bool
	clientCert         bool // required
	verifiedClientCert bool // required, signed by an authority
	clientCA           bool // the file names the authorities; else they are the system's
	sans               []string
	certFile           string // of the certificate that clients get
}

// weakenedSince returns an error if the file protects less than at the start of the program. A half-written file does, too.
func (p protection) weakenedSince(first protection) error {
	lost := ""
	switch {
	case first.tls != p.tls && first.tls:
		lost = "tls_server_config is gone from it"
	case first.tls != p.tls:
		return errors.New("tls_server_config is new in it, and TLS is only turned on by a restart: restart this program, or remove tls_server_config")
	case first.users && !p.users:
		lost = "basic_auth_users is gone from it, or empty"
	case first.verifiedClientCert && !p.verifiedClientCert, first.clientCert && !p.clientCert:
		lost = "client_auth_type asks for less than before"
	case first.clientCA && !p.clientCA:
		lost = "client_ca_file (or client_ca) is gone from it"
	case len(first.sans) > 0 && (len(p.sans) == 0 || slices.ContainsFunc(p.sans, func(san string) bool { return !slices.Contains(first.sans, san) })):
		lost = "client_allowed_sans allows more names than before"
	default:
		return nil
	}
	return errors.New(lost + ", and less protection needs a restart: restart this program if this is intended, or undo the change")
}

// read reads and validates the file at path, with the toolkit's checks and some more.
func read(path string) (protection, error) {
	var p protection
	info, err := os.Stat(path) //nolint:gosec // the operator names it
	if err != nil {
		return p, durable.Cause(err)
	}
	if !info.Mode().IsRegular() { // opening a named pipe would block
		return p, fmt.Errorf("it is no regular file (%s), but it must be one because it is read repeatedly", info.Mode().Type())
	}
	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return p, durable.Cause(err)
	}
	defer func() { _ = file.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return p, durable.Cause(err)
	}
	if len(data) > maxBytes {
		return p, fmt.Errorf("it is larger than %d bytes", maxBytes)
	}
	var c web.Config
	if err := yaml.UnmarshalStrict(data, &c); err != nil {
		return p, oneLine(err)
	}
	for _, user := range slices.Sorted(maps.Keys(c.Users)) {
		cost, err := bcrypt.Cost([]byte(c.Users[user]))
		if err != nil {
			return p, fmt.Errorf("basic_auth_users: the password of %q is no bcrypt hash: create one with `htpasswd -nBC 10 \"\"`", user)
		}
		if cost > maxCost {
			return p, fmt.Errorf("basic_auth_users: the bcrypt hash of %q has cost %d, which makes every check of a password too slow: %d is the most, create one with `htpasswd -nBC 10 \"\"`", user, cost, maxCost)
		}
	}
	c.TLSConfig.SetDirectory(filepath.Dir(path))
	if err := checkAuthorities(&c.TLSConfig); err != nil {
		return p, err
	}
	if err := web.Validate(path); err != nil {
		return p, oneLine(fmt.Errorf("tls_server_config or http_server_config: %w", err))
	}
	p.tls, p.users = c.TLSConfig.IsEnabled(), len(c.Users) > 0
	p.certFile = cmp.Or(c.TLSConfig.TLSCertPath, path)
	p.clientCA, p.sans = c.TLSConfig.ClientCAs != "" || c.TLSConfig.ClientCAsText != "", c.TLSConfig.ClientAllowedSans
	switch c.TLSConfig.ClientAuth {
	case "RequireAndVerifyClientCert":
		p.clientCert, p.verifiedClientCert = true, true
	case "RequireAnyClientCert", "RequireClientCert":
		p.clientCert = true
	}
	return p, nil
}

// checkAuthorities validates the authorities of client certificates. The toolkit ignores what it cannot parse.
func checkAuthorities(c *web.TLSConfig) error {
	text, where := []byte(c.ClientCAsText), "client_ca"
	if c.ClientCAs != "" {
		where = "client_ca_file " + c.ClientCAs
		var err error
		if text, err = os.ReadFile(c.ClientCAs); err != nil {
			return fmt.Errorf("tls_server_config: %s: %w", where, durable.Cause(err))
		}
	}
	if len(text) == 0 && c.ClientCAs == "" {
		return nil
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return fmt.Errorf("tls_server_config: %s holds no certificate: give one in PEM", where)
	}
	return nil
}

func oneLine(err error) error {
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}
