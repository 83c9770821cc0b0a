// Command man writes the manual pages of both programs into a directory: NAME.1 and stackscope.yaml.5. It builds the programs, or takes those
// in a second directory.
//
//	go run ./hack/man DIR [BIN]
//
// VERSION is the version that the pages name. Their date is that of SOURCE_DATE_EPOCH, else of the last commit.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return errors.New("give the directory to write to, and another with built programs if there are some: go run ./hack/man DIR [BIN]")
	}
	date, err := date()
	if err != nil {
		return err
	}
	var bin string
	if len(args) == 2 {
		bin = args[1]
	} else {
		if bin, err = os.MkdirTemp("", "man"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(bin) }()                     //nolint:gosec // it was made above
		build := exec.Command("go", "build", "-o", bin, "./cmd/...") //nolint:gosec // a fixed command
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("go build ./cmd/...: %w", err)
		}
	}
	for _, program := range []string{"stackscope", "stackscope-worker"} {
		path, err := filepath.Abs(filepath.Join(bin, program))
		if err != nil {
			return err
		}
		cmd := exec.Command(path, "__man", args[0], cmp.Or(os.Getenv("VERSION"), "development version"), date) //nolint:gosec // our programs
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", program, err)
		}
	}
	return nil
}

func date() (string, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		out, err := exec.Command("git", "log", "-1", "--format=%ct").Output()
		if err != nil {
			return "", fmt.Errorf("git log: %w; without a repository set SOURCE_DATE_EPOCH", err)
		}
		text = strings.TrimSpace(string(out))
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return "", fmt.Errorf("SOURCE_DATE_EPOCH %q: give seconds since 1970", text)
	}
	return time.Unix(seconds, 0).UTC().Format(time.DateOnly), nil
}
