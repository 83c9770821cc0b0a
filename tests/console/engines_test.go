package console

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/console/browser"
	"github.com/stackscope/stackscope/tests/programs"
)

// enginePage is of a vLLM with one metric that nothing maps.
const enginePage = `# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="chat",engine="0"} 2
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{model_name="chat",engine="0"} 1
# TYPE vllm:prompt_tokens counter
vllm:prompt_tokens_total{model_name="chat",engine="0"} 120
# TYPE vllm:generation_tokens counter
vllm:generation_tokens_total{model_name="chat",engine="0"} 340
# HELP vllm:custom_queue_length Requests in the custom queue.
# TYPE vllm:custom_queue_length gauge
vllm:custom_queue_length{model_name="chat",engine="0"} 3
`

// serveEngine returns the address of an engine with enginePage.
func serveEngine(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, enginePage)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// startWith starts a server and its worker with declared engines, by the instance's name, and waits until each has a state. It returns
// the server's address and its data directory.
func startWith(t *testing.T, engines map[string]string, flags ...string) (origin, data string) {
	t.Helper()
	data = t.TempDir()
	port := programs.FreePort(t)
	origin = fmt.Sprintf("http://127.0.0.1:%d", port)
	args := append([]string{
		"start", "--data-dir", data, "--port", strconv.Itoa(port), "--metrics-port", strconv.Itoa(programs.FreePort(t)),
		"--worker-metrics-port", strconv.Itoa(programs.FreePort(t)), "--discover", "none",
	}, flags...)
	for name, url := range engines {
		args = append(args, "--engine", "url="+url+",instance="+name+",model=chat,runtime=vLLM,version=0.11.0")
	}
	p := programs.Start(t, exec.Command(programs.Path(t, "stackscope"), args...))
	p.Await(time.Minute, "states of the engines", func() error {
		var list struct {
			Items []struct{ Name, State string }
		}
		if err := read(origin+"/v2/model-instances", &list); err != nil {
			return err
		}
		settled := 0
		for _, i := range list.Items {
			if i.State == "running" || i.State == "error" {
				settled++
			}
		}
		if settled < len(engines) {
			return fmt.Errorf("%+v", list.Items)
		}
		return nil
	})
	return origin, data
}

func read(url string, into any) error {
	body, err := programs.Get(url)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(body), into)
}

// expect takes refused requests out of a sight, with what the browser writes about them, and fails if there were none.
func expect(t *testing.T, s *browser.Sight, refused string) {
	t.Helper()
	status, _, _ := strings.Cut(refused, " ")
	before := len(s.Refused)
	s.Refused = slices.DeleteFunc(s.Refused, func(r string) bool { return strings.Contains(r, refused) })
	if len(s.Refused) == before {
		t.Errorf("%s: no request was answered with %q: %q", s.Name, refused, s.Refused)
	}
	s.Errors = slices.DeleteFunc(s.Errors, func(e string) bool { return strings.Contains(e, "status of "+status) })
}
