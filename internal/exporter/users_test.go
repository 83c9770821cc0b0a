package exporter

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/mapping"
)

// userPage is a page of LiteLLM with so many users.
func userPage(users, value int) string {
	var b strings.Builder
	for _, family := range []string{"litellm_input_tokens_metric_total", "litellm_output_tokens_metric_total"} {
		for u := range users {
			fmt.Fprintf(&b, "%s{api_key_alias=\"key-%d\",end_user=\"None\",hashed_api_key=\"%016x\",requested_model=\"qwen\",team=\"None\",user=\"user-%05d\",user_email=\"user-%05d@example.com\"} %d\n", family, u, u, u, u, value+u)
		}
	}
	b.WriteString("litellm_in_flight_requests 3\n")
	return b.String()
}

// Ten thousand users of a gateway have as many series as the limit says, and no counter falls from page to page.
func TestManyUsersOfAGateway(t *testing.T) {
	const many, limit = 10_000, 100
	for _, key := range [][]byte{nil, []byte("a secret of workers")} {
		gateway := &fakeEngine{instance: Instance{Name: "proxy", Runtime: "LiteLLM", Gateway: true}}
		compiled, err := mapping.Compile(mapping.Default())
		if err != nil {
			t.Fatal(err)
		}
		e, err := New(Options{
			Engines: func() []Engine { return []Engine{gateway, newEngine("a")} }, Mapping: &fakeMapping{compiled, 1},
			Identity: func() Identity { return Identity{} }, UserLimit: limit, UserKey: key,
		})
		if err != nil {
			t.Fatal(err)
		}
		h := e.Handler()
		last := map[string]float64{}
		for n := range 4 {
			gateway.set(userPage(many, n), nil)
			page := get(t, h, "/metrics")
			sums, seen := map[string]float64{}, map[string]float64{}
			for line := range strings.Lines(page) {
				name, _, ok := strings.Cut(line, "{")
				if !ok || !strings.HasPrefix(name, "gpustack:gateway_") || !strings.Contains(line, `user="`) {
					continue
				}
				at := strings.LastIndexByte(line, ' ')
				v, err := strconv.ParseFloat(strings.TrimSpace(line[at+1:]), 64)
				if err != nil {
					t.Fatal(err)
				}
				sums[name] += v
				seen[line[:at]] = v
				if v < last[line[:at]] {
					t.Errorf("page %d: %s fell from %v to %v", n, line[:at], last[line[:at]], v)
				}
				if strings.Contains(line, "@example.com") || strings.Contains(line, "key-") || key != nil && strings.Contains(line, "user-") {
					t.Fatalf("a name is shown: %s", line)
				}
			}
			if len(seen) != 2*(limit+1) || n > 0 && len(last) != len(seen) {
				t.Errorf("page %d: %d series of users", n, len(seen))
			}
			last = seen
			for _, name := range []string{"gpustack:gateway_prompt_tokens_total", "gpustack:gateway_generation_tokens_total"} {
				if want := float64(many*(many-1)/2 + n*many); sums[name] != want {
					t.Errorf("page %d: %s adds up to %v, want %v", n, name, sums[name], want)
				}
			}
			own := `{model_instance_name="proxy",runtime="LiteLLM"} `
			for family, want := range map[string]int{"gateway_users": limit, "gateway_users_folded_total": many - limit, "runtime_series": 2*(limit+1) + 1} {
				if line := fmt.Sprintf("\ngpustack:%s%s%d\n", family, own, want); !strings.Contains(page, line) {
					t.Errorf("no line %s", line)
				}
			}
			if strings.Count(page, "gateway_users{") != 1 {
				t.Error("an engine has users")
			}
		}
		raw := get(t, h, "/metrics/raw")
		hidden := "# Left out, since users' names are hashed: the gateway proxy\n"
		if strings.Contains(raw, hidden) != (key != nil) || strings.Contains(raw, "litellm_") != (key == nil) || !strings.Contains(raw, "vllm:num_requests_running{") {
			t.Errorf("with key %q the native families are\n%.300s", key, raw)
		}
	}
}
