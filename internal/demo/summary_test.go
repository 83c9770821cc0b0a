package demo

import (
	"slices"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/grafana"
)

func TestHowAnotherWorkerJoins(t *testing.T) {
	local := join(t.Context(), "127.0.0.1:8080", "/data")
	if local.Server != "http://localhost:8080" || local.Login != "" || local.TokenFile != "/data/worker-token" || !slices.Contains(local.Flags, "/data/second") {
		t.Errorf("this machine only: %+v", local)
	}
	outer := join(t.Context(), "[::]:8080", "/data")
	if !strings.HasSuffix(outer.Server, ":8080") || strings.Contains(outer.Server, "localhost") || !strings.Contains(outer.Login, "@") || outer.Flags != nil {
		t.Errorf("every address: %+v", outer)
	}
}

// The console comes first. Grafana is a page where one runs, and a note where none does.
func TestPages(t *testing.T) {
	for phase, want := range map[grafana.Phase]bool{grafana.PhaseAbsent: false, grafana.PhaseStarting: true} {
		s := summary{scenario: scenario{queries: Queries()}, api: "http://a", grafana: grafana.Status{Phase: phase}}
		pages := s.pages()
		if (pages[0] != terminal.Page{Name: "console", Address: "http://a/"}) {
			t.Errorf("%s: the first page is %+v", phase, pages[0])
		}
		if got := slices.ContainsFunc(pages, func(p terminal.Page) bool { return p.Name == "Grafana" }); got != want {
			t.Errorf("%s: Grafana is a page: %t", phase, got)
		}
		if got := strings.Contains(strings.Join(s.allNotes(), "\n"), "stackscope grafana install"); got == want {
			t.Errorf("%s: how to install Grafana is a note: %t", phase, got)
		}
	}
}
