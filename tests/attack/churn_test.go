//go:build linux

package attack

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

// A page whose labels are new at each scrape fills no more than what is allowed, and costs nobody else a sample.
func TestChurnHasACeiling(t *testing.T) {
	limit := count(150_000, 30_000)
	s := serve(t, "--builtin-prometheus-max-series", strconv.Itoa(limit))
	s.queryable(t)
	var round atomic.Int64
	port := target(t, func(w http.ResponseWriter, _ *http.Request) {
		n := round.Add(1)
		b := bufio.NewWriter(w)
		fmt.Fprintf(b, "steady %d\n", n)
		for i := range 45_000 {
			fmt.Fprintf(b, "churning_requests_total{session=\"%d-%d\"} 1\n", n, i)
		}
		b.Flush()
	})
	if _, err := s.join("churning", port); err != nil {
		t.Fatal(err)
	}
	scrapes := int64(count(24, 5)) // one every 5 s
	s.attack(t, func() {
		programs.Eventually(t, 5*time.Minute, "it was scraped", func() error {
			if n := round.Load(); n < scrapes {
				return fmt.Errorf("%d times", n)
			}
			return nil
		})
	})
	value := func(expr string) float64 {
		t.Helper()
		body, err := programs.Get(s.url + "/prometheus/api/v1/query?query=" + expr)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(body, `"value":[`)
		_, rest, _ = strings.Cut(rest, `,"`)
		text, _, _ := strings.Cut(rest, `"`)
		n, _ := strconv.ParseFloat(text, 64)
		return n
	}
	page, err := programs.Get(s.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(page) {
		if text, ok := strings.CutPrefix(line, "prometheus_tsdb_head_series "); ok {
			series, _ := strconv.ParseFloat(strings.TrimSpace(text), 64)
			t.Logf("%.0f series, %d are the ceiling", series, limit)
			if series > float64(limit)+2000 {
				t.Errorf("the ceiling was passed")
			}
		}
	}
	if v := value("steady"); v < float64(scrapes)-2 {
		t.Errorf("a series that was there stopped at scrape %v of %d", v, round.Load())
	}
	if v := value("min(up)"); v != 1 {
		t.Errorf("up is %v", v)
	}
	if !strings.Contains(s.Output(), "new series are refused") {
		t.Error("the log does not say that new series are refused")
	}
	if status, body, err := s.send(http.MethodGet, "/readyz", "", nil); err != nil || status != http.StatusOK {
		t.Errorf("/readyz: %d %s, %v", status, body, err)
	}
}
