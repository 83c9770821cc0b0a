package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	// commandLine is a line of the list of commands: its words, two blanks, what it does.
	commandLine = regexp.MustCompile(`^  ([a-z][a-z-]*(?: [a-z][a-z-]*)*)(?:  |$)`)
	// flagLine begins what help says of a flag: -s, --server-url=URL. Its text is further to the right, and may begin with a flag's name.
	flagLine = regexp.MustCompile(`^ {1,6}(?:-[a-zA-Z], +)?--[a-z]`)
	flagName = regexp.MustCompile(`^ +((?:-[a-zA-Z], +)?--\S+)`)
	variable = regexp.MustCompile(`\$[A-Z][A-Z0-9_]+`)
)

// addFlags adds usage, flags and environment variables of a program and of all its commands, as --help prints them.
func addFlags(ctx context.Context, lines lineSet, dir, name string) error {
	text, err := help(ctx, dir, name)
	if err != nil {
		return err
	}
	addHelp(lines, name, text)
	_, list, _ := strings.Cut(text, "\nCommands:\n")
	for line := range strings.Lines(list) {
		found := commandLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if found == nil {
			continue
		}
		lines.add("command %s %s", name, found[1])
		text, err := help(ctx, dir, name, strings.Fields(found[1])...)
		if err != nil {
			return err
		}
		addHelp(lines, name+" "+found[1], text)
	}
	return nil
}

func help(ctx context.Context, dir, name string, command ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(dir, name), append(command, "--help")...) //nolint:gosec // what the user names
	cmd.Env = []string{"HOME=/nonexistent", "PATH=" + os.Getenv("PATH")}                    // no settings of the caller's
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s --help: %w\n%s", name, strings.Join(command, " "), err, out)
	}
	return string(out), nil
}

func addHelp(lines lineSet, command, text string) {
	if usage, ok := strings.CutPrefix(text, "Usage: "); ok {
		usage, _, _ = strings.Cut(usage, "\n")
		lines.add("usage %s: %s", command, usage)
	}
	// A flag's text goes on until the next flag or an empty line.
	var entry string
	flush := func() {
		if found := flagName.FindStringSubmatch(entry); found != nil {
			line := "flag " + command + " " + strings.Join(strings.Fields(found[1]), " ")
			if name := variable.FindString(entry[strings.LastIndex(entry, "(")+1:]); name != "" {
				line += " " + name
			}
			lines.add("%s", line)
		}
		entry = ""
	}
	for line := range strings.Lines(text) {
		switch {
		case strings.TrimSpace(line) == "":
			flush()
		case flagLine.MatchString(line):
			flush()
			entry = line
		case entry != "":
			entry += line
		}
	}
	flush()
}
