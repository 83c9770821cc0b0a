package main

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/wire"
)

func TestVersionWarnings(t *testing.T) {
	workers := []wire.Worker{
		{Name: "gpu-9", Version: "0.3.0"},
		{Name: "gpu-8", Version: "0.2.5"},
		{Name: "gpu-7", Version: "dev"},
		{Name: "gpu-6", Version: "8dce8de"},
		{Name: "gpu-5"},
		{Name: "new", Version: "0.5.0"},
	}
	if got := versionWarnings("0.3.0", workers[:5]); got != nil {
		t.Errorf("got %q", got)
	}
	for i := range 5 {
		workers = append(workers, wire.Worker{Name: fmt.Sprintf("old-%d", i), Version: "0.1.0"})
	}
	want := []string{
		"warning: 5 workers of version 0.1.0 (old-0, old-1, old-2 and 2 more). Update the worker: server and worker may differ by 1 minor version within a major one",
		"warning: 1 worker of version 0.5.0 (new). Update the server, which comes before its workers: they may differ by 1 minor version within a major one",
	}
	if diff := cmp.Diff(want, versionWarnings("0.3.0", workers)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for i := range 9 {
		workers = append(workers, wire.Worker{Name: "w", Version: fmt.Sprintf("1.%d.0", i)})
	}
	got := versionWarnings("0.3.0", workers)
	if len(got) != maxVersionWarnings+1 || got[maxVersionWarnings] != "warning: workers have 6 versions more that are too far from the server's; see stackscope worker list" {
		t.Errorf("got %q", got)
	}
	if got := versionWarnings("dev", workers); got != nil {
		t.Errorf("of a server whose version is not known: %q", got)
	}
}
