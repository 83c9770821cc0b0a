package grafana

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/stackscope/stackscope/internal/base/durable"
)

// passwordFile holds a salted hash of the administrator's password that was applied last. A password that was changed in Grafana
// since then stays until another one is configured here.
const passwordFile = "admin-password.hash"

const (
	hashScheme = "pbkdf2-sha256-100000"
	hashRounds = 100_000
	hashBytes  = 32
)

// warnPassword logs which password Grafana's administrator has if none is configured.
func (g *Grafana) warnPassword() {
	if g.password != "" || g.env[envAdminPassword] != "" {
		return
	}
	if exists(filepath.Join(g.opts.Dir, passwordFile)) {
		g.logger.Info("no password is configured for grafana's admin: the last one that was set stays valid")
		return
	}
	g.logger.Warn("grafana's admin has the well-known password: set another one", "password", wellKnownPassword, "flag", "--grafana-admin-password")
}

// applyPassword sets the configured password in an existing database, unless it was applied before. made is false if there is no
// database yet: Grafana creates it with the password, and the caller must call savePassword after that.
func (g *Grafana) applyPassword(ctx context.Context, h home, environ []string) (made bool, err error) {
	if g.password == "" || g.passwordApplied() {
		return true, nil
	}
	if !g.databaseExists() {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, g.timing.start)
	defer cancel()
	program, args := h.command("cli", "admin", "reset-admin-password", "--password-from-stdin")
	out := newOutput(g.logger.Handler(), g.secrets())
	cmd := exec.Command(program, args...) //nolint:gosec // the operator's Grafana
	cmd.Dir, cmd.Env, cmd.Stdin = h.dir, environ, strings.NewReader(g.password+"\n")
	c, err := start(cmd, out)
	if err != nil {
		return false, fmt.Errorf("the admin's password cannot be set: %w", err)
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		c.stop(0, g.timing.grace)
		return false, errors.New("the admin's password cannot be set: grafana cli did not end in time")
	}
	if c.err != nil {
		return false, fmt.Errorf("the admin's password cannot be set: %s", out.reason(c.err)) //nolint:contextcheck // logging is not cancelled
	}
	g.logger.Info("grafana's admin password was changed")
	return true, g.savePassword()
}

// databaseExists reports whether Grafana has a database. An operator's own database counts as existing: grafana cli creates its
// tables if they are missing.
func (g *Grafana) databaseExists() bool {
	for _, name := range []string{"GF_DATABASE_TYPE", "GF_DATABASE_URL", "GF_DATABASE_PATH"} {
		if g.env[name] != "" {
			return true
		}
	}
	return exists(g.database())
}

func (g *Grafana) database() string { return filepath.Join(g.opts.Dir, "grafana.db") }

func (g *Grafana) savePassword() error {
	salt := make([]byte, hashBytes)
	if _, err := io.ReadFull(rand.Reader, salt); err != nil {
		return err
	}
	hash, err := hashPassword(g.password, salt)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("%s %x %x\n", hashScheme, salt, hash)
	return durable.WriteFile(filepath.Join(g.opts.Dir, passwordFile), []byte(line), 0o600)
}

func (g *Grafana) passwordApplied() bool {
	line, err := os.ReadFile(filepath.Join(g.opts.Dir, passwordFile))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			g.logger.Warn("the hash of grafana's admin password cannot be read: the password is set again", "error", err)
		}
		return false
	}
	fields := strings.Fields(string(line))
	if len(fields) != 3 || fields[0] != hashScheme {
		return false
	}
	salt, err := hex.DecodeString(fields[1])
	if err != nil {
		return false
	}
	want, err := hex.DecodeString(fields[2])
	if err != nil {
		return false
	}
	hash, err := hashPassword(g.password, salt)
	return err == nil && subtle.ConstantTimeCompare(hash, want) == 1
}

func hashPassword(password string, salt []byte) ([]byte, error) {
	return pbkdf2.Key(sha256.New, password, salt, hashRounds, hashBytes)
}
