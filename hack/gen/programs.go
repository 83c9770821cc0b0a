package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// fromPrograms writes what the programs print about themselves.
func fromPrograms() error {
	dir, err := os.MkdirTemp("", "gen")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	build := exec.Command("go", "build", "-o", dir, "./cmd/...") //nolint:gosec // a fixed command
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("go build ./cmd/...: %w", err)
	}
	return errors.Join(flags(dir), configFiles(dir))
}

// printed returns what a program in dir prints.
func printed(dir, command string) ([]byte, error) {
	words := strings.Fields(command)
	cmd := exec.Command(filepath.Join(dir, words[0]), words[1:]...) //nolint:gosec // fixed lists
	cmd.Env = []string{"HOME=/root", "PATH=" + os.Getenv("PATH")}
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	return out, nil
}

func flags(dir string) error {
	var b bytes.Buffer
	b.WriteString("# Flags\n\nGenerated from `--help` by `make gen`. Each flag is also a key of `--config-file`, in snake case.\n")
	for _, command := range []string{
		"stackscope", "stackscope start", "stackscope server", "stackscope worker", "stackscope worker run",
		"stackscope worker list", "stackscope worker remove", "stackscope worker allow", "stackscope demo", "stackscope mapping",
		"stackscope mapping translate", "stackscope status", "stackscope doctor", "stackscope backup", "stackscope restore",
		"stackscope healthcheck", "stackscope grafana install", "stackscope config check", "stackscope-worker",
	} {
		out, err := printed(dir, command+" --help")
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "\n## %s\n\n```\n%s\n```\n", command, strings.TrimRight(string(out), "\n"))
	}
	return os.WriteFile(filepath.Join("docs", "flags.md"), b.Bytes(), 0o644) //nolint:gosec // a page for everybody
}

// configFiles writes the files that packages install in /etc/stackscope.
func configFiles(dir string) error {
	etc := filepath.Join("packaging", "etc")
	if err := os.MkdirAll(etc, 0o755); err != nil { //nolint:gosec // a folder of the sources
		return err
	}
	for name, command := range map[string]string{"server.yaml": "stackscope config example server", "worker.yaml": "stackscope-worker config example"} {
		out, err := printed(dir, command)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(etc, name), out, 0o644); err != nil { //nolint:gosec // a file of the sources
			return err
		}
	}
	return nil
}
