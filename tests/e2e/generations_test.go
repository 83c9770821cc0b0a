package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

// change sends a change of the mapping and returns its answer.
func (s *setup) change(status int, args ...string) (st wire.MappingStatus, answer string) {
	s.t.Helper()
	answer, got := curl(s.t, args...)
	if got != status {
		s.t.Fatalf("curl %v: %d, want %d: %s", args, got, status, answer)
	}
	if status == 200 {
		if err := json.Unmarshal([]byte(answer), &st); err != nil {
			s.t.Fatalf("%v: %s", err, answer)
		}
	}
	return st, answer
}

// generations reads all generations, the newest first. anonymous asks as somebody on another machine does.
func (s *setup) generations(anonymous bool) []wire.Generation {
	s.t.Helper()
	args := []string{s.api("/v2/metrics/config/generations")}
	if anonymous {
		args = append(args, "-H", "X-Forwarded-For: 192.0.2.1")
	}
	body, status := curl(s.t, args...)
	var list wire.List[wire.Generation]
	if err := json.Unmarshal([]byte(body), &list); status != 200 || err != nil {
		s.t.Fatalf("%d %v %s", status, err, body)
	}
	return list.Items
}

// The life of the mapping on real programs: two writers, what vanishes, a history with authors and comments over a restart, and the way back.
func TestGenerations(t *testing.T) {
	s := newSetup(t)
	programs.Eventually(t, 30*time.Second, "the worker has joined", contains(s.workerPage(), `worker_id="`))
	programs.Eventually(t, 30*time.Second, "the default mapping is in use", contains(s.workerPage(), "gpustack:num_requests_waiting{"))
	file := func(name, document string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
		return "@" + path
	}
	mine, yours := file("mine.json", customMapping), file("yours.json", strings.Replace(customMapping, "by my name", "by your name", 1))
	config := s.api("/v2/metrics/config")

	st, answer := s.change(200, "-X", "POST", config+"?author=ana&comment=by+my+name", "-d", mine, "-H", `If-Match: "0"`)
	if v := st.Vanishing; v == nil || v.Series < 10 || len(v.Metrics) < 10 || len(v.Unknown) != 0 {
		t.Errorf("most of the engine's series vanish: %s", answer)
	}
	programs.Eventually(t, 30*time.Second, "the worker uses it", contains(s.workerPage(), "gpustack:my_running{"))

	// Both writers have read generation 1.
	s.change(200, "-X", "POST", config+"?author=bo", "-d", yours, "-H", `If-Match: "1"`)
	_, answer = s.change(412, "-X", "DELETE", config, "-H", `If-Match: "1"`)
	for _, part := range []string{"generation 2 is active since 20", "by \\\"bo\\\"", "/v2/metrics/config/generations/1/diff?to=2", "stackscope mapping diff @1 @2"} {
		if !strings.Contains(answer, part) {
			t.Errorf("the second writer is not told %s: %s", part, answer)
		}
	}
	body, status := curl(t, s.api("/v2/metrics/config/generations/1/diff?to=2"))
	var diff wire.GenerationDiff
	if err := json.Unmarshal([]byte(body), &diff); status != 200 || err != nil || len(diff.Differences) != 1 || diff.Differences[0].Pointer != "/gpustack_metrics/gpustack:my_running/description" {
		t.Errorf("%d %v %s", status, err, body)
	}

	s.change(200, "-X", "DELETE", config+"?comment=enough")
	programs.Eventually(t, 30*time.Second, "the worker is back at the default", contains(s.workerPage(), "gpustack:num_requests_waiting{"))

	brief := func(list []wire.Generation) string {
		var b strings.Builder
		for _, g := range list {
			if (g.At == nil) != (g.Number == 0) || g.Problem != "" {
				t.Errorf("%+v", g)
			}
			fmt.Fprintf(&b, "%d active=%t default=%t author=%q comment=%q", g.Number, g.Active, g.Default, g.Author, g.Comment)
			if g.RestoredFrom != nil {
				fmt.Fprintf(&b, " from=%d", *g.RestoredFrom)
			}
			b.WriteByte('\n')
		}
		return b.String()
	}
	want := `3 active=true default=true author="local user" comment="enough"
2 active=false default=false author="bo" comment=""
1 active=false default=false author="ana" comment="by my name"
0 active=false default=true author="" comment=""
`
	if got := brief(s.generations(false)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	t.Log("kill -9 of the server: the history is there after it")
	s.server.Stop(syscall.SIGKILL)
	s.startServer()
	if got := brief(s.generations(false)); got != want {
		t.Errorf("after a restart: got\n%swant\n%s", got, want)
	}
	for _, g := range s.generations(true) {
		if g.Author != "" {
			t.Errorf("everybody is told that %q made generation %d", g.Author, g.Number)
		}
	}
	s.change(200, "-X", "POST", s.api("/v2/metrics/config/generations/1/restore?comment=mine+again"))
	programs.Eventually(t, 30*time.Second, "the worker uses the restored mapping", contains(s.workerPage(), "gpustack:my_running{"))
	want = `4 active=true default=false author="local user" comment="mine again" from=1
` + strings.Replace(want, "active=true", "active=false", 1)
	if got := brief(s.generations(false)); got != want {
		t.Errorf("after a restoration: got\n%swant\n%s", got, want)
	}
	restored, _ := curl(t, config)
	original, _ := curl(t, s.api("/v2/metrics/config/generations/1"))
	if !strings.Contains(original, strings.TrimSpace(restored)) {
		t.Errorf("generation 4 is\n%s\nand generation 1 was\n%s", restored, original)
	}
}
