// Package smitest plays recorded runs of vendors' tools to their backends' tests.
package smitest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

// Tool is a tool that prints what was recorded.
type Tool struct {
	mu   sync.Mutex
	runs map[string]run
	// calls are the command lines that were run, in order.
	calls []string
}

type run struct {
	out  string
	exit int
}

// recordings are the ends of the names of files that Recorded reads.
const recordings = ".txt"

// Cases are the names of the cases that Recorded can read.
func Cases(tb testing.TB) []string {
	tb.Helper()
	return names(tb, recordings)
}

// Recorded reads the recorded runs of a case, testdata/<name>.txt. A run is a line "$ tool arguments", with " [exit n]"
// at its end if the tool failed, and what it printed up to the next run. The run "$ *" is for all commands that have none of
// their own; without it they fail.
func Recorded(tb testing.TB, name string) *Tool {
	tb.Helper()
	file := filepath.Join("testdata", name+recordings)
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	tool := &Tool{runs: map[string]run{}}
	var command string
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "$ "); ok {
			command = strings.TrimSpace(rest)
			r := run{}
			if before, exit, ok := strings.Cut(command, " [exit "); ok {
				command = before
				r.exit, _ = strconv.Atoi(strings.TrimSuffix(exit, "]"))
			}
			tool.runs[command] = r
			continue
		}
		r := tool.runs[command]
		r.out += line
		tool.runs[command] = r
	}
	if len(tool.runs) == 0 {
		tb.Fatalf("%s has no runs", file)
	}
	return tool
}

// Set replaces what a command prints.
func (tool *Tool) Set(command, out string, exit int) {
	tool.mu.Lock()
	defer tool.mu.Unlock()
	tool.runs[command] = run{out, exit}
}

// Output is what a command prints.
func (tool *Tool) Output(command string) string {
	tool.mu.Lock()
	defer tool.mu.Unlock()
	return tool.runs[command].out
}

// Calls returns the command lines that were run since it was last called.
func (tool *Tool) Calls() []string {
	tool.mu.Lock()
	defer tool.mu.Unlock()
	calls := tool.calls
	tool.calls = nil
	return calls
}

// Run is a smi.Runner.
func (tool *Tool) Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	tool.mu.Lock()
	defer tool.mu.Unlock()
	command := strings.Join(append([]string{name}, args...), " ")
	tool.calls = append(tool.calls, command)
	r, ok := tool.runs[command]
	if !ok {
		if r, ok = tool.runs["*"]; !ok {
			return nil, fmt.Errorf("%s: exit status 1: this run was not recorded", command)
		}
	}
	if r.exit != 0 {
		first, _, _ := strings.Cut(strings.TrimSpace(r.out), "\n")
		return []byte(r.out), fmt.Errorf("%s: exit status %d: %s", command, r.exit, first)
	}
	return []byte(r.out), nil
}

var _ smi.Runner = (&Tool{}).Run
