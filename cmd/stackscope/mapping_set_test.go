package main

import (
	"testing"

	"github.com/stackscope/stackscope/internal/wire"
)

func TestSetRefusesWithoutTerminal(t *testing.T) {
	f := newFleet(t)
	f.join("node-1", losing())
	doc := writeFile(t, "nine.yaml", nineLines)
	f.must(3, []string{"mapping", "set", doc}, "30 series of 2 metrics vanish:", "gpustack:e2e_request_latency_seconds  26      vLLM",
		"By the documents alone ", " vanish, too; no engine that was read has them now. --verbose lists them.", "error: 30 series of 2 metrics would vanish, and there is no terminal to ask: nothing was changed",
		"--merge, or `extends: default` in the document, would keep them; --yes activates it all the same")
	if n := f.active(); n != 0 {
		t.Fatalf("generation %d is active", n)
	}
	answer := decodeAnswer[changeAnswer](t, f.must(3, []string{"mapping", "set", doc, "--json"}))
	if answer.Status != "refused" || answer.Vanishing.Series != 30 || len(answer.Vanishing.Metrics) != 2 || answer.Vanishing.Metrics[0].Series != 26 || len(answer.Vanishing.Documents) < 50 {
		t.Errorf("%+v", answer)
	}
	f.must(3, []string{"mapping", "dry-run", doc}, "30 series of 2 metrics would vanish", "By the documents alone ", "--verbose lists them.")
	f.must(3, []string{"mapping", "dry-run", doc, "--verbose"}, "By the documents alone these vanish")
	run := decodeAnswer[wire.MappingDryRun](t, f.must(3, []string{"mapping", "dry-run", doc, "--json"}))
	if run.Removed != 30 {
		t.Errorf("%+v", run)
	}
	f.must(0, []string{"mapping", "dry-run", "--default"})
	f.must(1, []string{"mapping", "dry-run", doc, "--timeout", "99m"}, "--timeout 1h39m0s: give 1s to 1m")
	f.must(1, []string{"mapping", "set", "@1"}, "there is no file @1; `stackscope mapping restore` activates an earlier document")
	f.must(0, []string{"mapping", "dry-run", "@active"}, "the document is the active one")
	f.must(0, []string{"mapping", "dry-run", doc, "--merge"}, "0 removed")
	f.must(0, []string{"mapping", "set", doc, "--merge"}, "generation 1 is active, sent to 1 worker\n`stackscope mapping restore 0` goes back")
	f.must(0, []string{"mapping", "set", doc, "--merge"}, "generation 1 is active already: nothing changed")
	f.must(0, []string{"mapping", "set", doc, "--yes"}, "30 series of 2 metrics vanish:", "generation 2 is active")
	f.must(0, []string{"mapping", "reset"}, "generation 3 is active")
}
