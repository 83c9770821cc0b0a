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
	// maxBytes bounds a web configuration file, which is read with each request.
	maxBytes = 1 << 20
	// maxCost bounds how long a look at a password takes: to some seconds. The toolkit does one at a time.
	maxCost = 15
)

// protection is what a file protects by.
type protection struct {
	tls, users  bool
	certificate bool // clients must have one
	verified    bool // by an authority
	authorities bool // the file says whose; without, the system's are taken
	sans        []string
	shown       string // the file of the certificate that is shown to clients
}

// opens says what a file no longer protects by that it did at the start. A file that is cut off while it is written looks so, too.
func (p protection) opens(first protection) error {
	lost := ""
	switch {
	case first.tls != p.tls && first.tls:
		lost = "tls_server_config is gone from it"
	case first.tls != p.tls:
		return errors.New("tls_server_config is new in it, and TLS is turned on by a restart alone: restart this program, or take it out again")
	case first.users && !p.users:
		lost = "basic_auth_users is gone from it, or empty"
	case first.verified && !p.verified, first.certificate && !p.certificate:
		lost = "client_auth_type asks for less than before"
	case first.authorities && !p.authorities:
		lost = "client_ca_file (or client_ca) is gone from it"
	case len(first.sans) > 0 && (len(p.sans) == 0 || slices.ContainsFunc(p.sans, func(san string) bool { return !slices.Contains(first.sans, san) })):
		lost = "client_allowed_sans lets more in than before"
	default:
		return nil
	}
	return errors.New(lost + ", and what opens a port takes a restart: restart this program if that is meant, or put it back")
}

// read returns what the file at path protects by, after the toolkit's own checks and some that it leaves out.
func read(path string) (protection, error) {
	var p protection
	info, err := os.Stat(path) //nolint:gosec // the operator names it
	if err != nil {
		return p, durable.Cause(err)
	}
	if !info.Mode().IsRegular() { // opening a pipe waits for who writes it
		return p, fmt.Errorf("it is no regular file (%s), and has to be one, since it is read again and again", info.Mode().Type())
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
			return p, fmt.Errorf("basic_auth_users: the password of %q is no bcrypt hash: make one with `htpasswd -nBC 10 \"\"`", user)
		}
		if cost > maxCost {
			return p, fmt.Errorf("basic_auth_users: the bcrypt hash of %q has cost %d, and each look at a password would keep all others waiting: %d is the most, make one with `htpasswd -nBC 10 \"\"`", user, cost, maxCost)
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
	p.shown = cmp.Or(c.TLSConfig.TLSCertPath, path)
	p.authorities, p.sans = c.TLSConfig.ClientCAs != "" || c.TLSConfig.ClientCAsText != "", c.TLSConfig.ClientAllowedSans
	switch c.TLSConfig.ClientAuth {
	case "RequireAndVerifyClientCert":
		p.certificate, p.verified = true, true
	case "RequireAnyClientCert", "RequireClientCert":
		p.certificate = true
	}
	return p, nil
}

// checkAuthorities says what is wrong with the authorities of clients' certificates, of which the toolkit leaves out what it can't read.
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
