package engine

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An engine that is another one on each page does not bring series without end.
func TestEngineThatKeepsChangingItsModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,runtime=vLLM", map[string]string{"/metrics": "vllm:prompt_tokens_total 1\n"})
		h.run(t)
		models, versions := map[string]bool{}, map[string]bool{}
		var last string
		read := func(n, hour int) {
			for i := range n {
				id := fmt.Sprintf("%d-%d", hour, i)
				h.fake.set("/metrics", fmt.Sprintf("process_start_time_seconds %d\nvllm:prompt_tokens_total{model_name=\"m-%s\"} 1\n", 1_000_000*(hour+1)+100*i, id))
				h.fake.set("/v1/models", fmt.Sprintf(`{"data":[{"id":"m-%s"}]}`, id))
				h.fake.set("/version", fmt.Sprintf(`{"version":"1.%s"}`, id))
				_ = h.scrape(t)
				synctest.Wait()
				s := h.Status()
				models[s.Model], versions[s.Version], last = true, true, s.Model
				time.Sleep(15 * time.Second)
			}
		}
		read(100, 0)
		if len(models) > maxRenames+1 || len(models) < maxRenames/2 || len(versions) > maxRenames+1 {
			t.Errorf("%d models and %d versions", len(models), len(versions))
		}
		if n := strings.Count(h.log.String(), "keeps changing its model"); n != 1 {
			t.Errorf("it is said %d times", n)
		}
		time.Sleep(time.Hour)
		was := last
		read(3, 1)
		if last == was {
			t.Errorf("an hour later it still goes by %s", last)
		}
	})
}
