package exporter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

func TestInstancePage(t *testing.T) {
	a, html, down := newEngine("a"), newEngine("html"), newEngine("down")
	html.set("", &FetchError{errors.New("answered HTML"), "text/html", "<html>"})
	down.set("", errors.New("refused"))
	e, _ := newExporter(t, a, html, down)
	deadline := time.Now().Add(time.Minute)

	p := e.Page(t.Context(), a, deadline)
	if p.Err != nil || p.Native != vllmPage || p.NativeCut || p.Bytes != len(vllmPage) || p.Instance.Runtime != "vLLM" || p.FetchedAt.IsZero() {
		t.Errorf("%+v", p)
	}
	if !p.HasCoverage || p.Fed != 2 || p.Countable != 28 {
		t.Errorf("coverage %d of %d", p.Fed, p.Countable)
	}
	for _, line := range series(get(t, e.Handler(), "/metrics"), "gpustack:num_requests_running{") {
		if !strings.Contains(p.Unified, line+"\n") {
			t.Errorf("%s is on the page of the worker and not in\n%s", line, p.Unified)
		}
	}
	if len(p.Reports) != 2 || p.Reports[0].Name != "vllm:num_requests_running" || p.Reports[0].Outcomes[0].Family != "gpustack:num_requests_running" {
		t.Errorf("reports %+v", p.Reports)
	}
	if a.fetches.Load() != a.released.Load() {
		t.Errorf("%d fetches, %d pages given back", a.fetches.Load(), a.released.Load())
	}

	if p := e.Page(t.Context(), html, deadline); p.Err == nil || p.Native != "<html>" || p.ContentType != "text/html" || p.HasCoverage || p.Unified != "" {
		t.Errorf("of an engine that sends HTML: %+v", p)
	}
	if p := e.Page(t.Context(), down, deadline); p.Err == nil || p.Err.Error() != "refused" || p.Native != "" || p.HasCoverage || p.Instance.Name != "down" {
		t.Errorf("of an engine that is down: %+v", p)
	}
	if p := e.Page(t.Context(), newEngine("other"), deadline); !errors.Is(p.Err, errNotExported) {
		t.Errorf("of an engine that is not there: %+v", p)
	}
}

// A scrape and requests for the page that overlap have one fetch among them, and an engine that hangs is waited for until the deadline.
func TestInstancePageSharesTheFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, hung := newEngine("a"), newEngine("hung")
		a.delay, hung.delay = time.Second, time.Hour
		e, _ := newExporter(t, a, hung)
		var wg sync.WaitGroup
		wg.Go(func() { get(t, e.Handler(), "/metrics") })
		for range 4 {
			wg.Go(func() {
				if p := e.Page(t.Context(), a, time.Now().Add(3*time.Second)); p.Err != nil || p.Fed != 2 {
					t.Errorf("%+v", p)
				}
			})
		}
		wg.Wait()
		if n := a.fetches.Load(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		began := time.Now()
		if p := e.Page(t.Context(), hung, began.Add(3*time.Second)); p.Err == nil || time.Since(began) != 3*time.Second {
			t.Errorf("after %s: %+v", time.Since(began), p)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("stop"))
		defer cancel()
		began = time.Now()
		if p := e.Page(ctx, hung, began.Add(time.Minute)); p.Err == nil || p.Err.Error() != "stop" || time.Since(began) != time.Second {
			t.Errorf("after %s: %+v", time.Since(began), p)
		}
		time.Sleep(2 * time.Minute) // the fetch ends
	})
}

// With --hash-users nothing shows the native page of a gateway.
func TestInstancePageOfAGatewayWithHashedUsers(t *testing.T) {
	gateway := newEngine("gateway")
	gateway.instance.Gateway = true
	e, _ := newExporter(t, gateway)
	e.userKey = []byte("key")
	if p := e.Page(t.Context(), gateway, time.Now().Add(time.Minute)); p.Native != "" || !errors.Is(p.Err, errHidden) || len(p.Reports) == 0 || p.Bytes == 0 {
		t.Errorf("%+v", p)
	}
	gateway.set("", &FetchError{errors.New("answered text"), "text/plain", "amy"})
	if p := e.Page(t.Context(), gateway, time.Now().Add(time.Minute)); p.Native != "" || p.Err == nil {
		t.Errorf("%+v", p)
	}
}

// A page that is too large to be explained is shown, and it is said.
func TestLargeInstancePage(t *testing.T) {
	a := newEngine("a")
	var page strings.Builder
	for i := 0; page.Len() <= maxExplainedBytes; i++ {
		fmt.Fprintf(&page, "vllm:num_requests_running{engine=\"%d\"} 1\n", i%1000)
	}
	a.set(page.String(), nil)
	e, _ := newExporter(t, a)
	p := e.Page(t.Context(), a, time.Now().Add(time.Minute))
	if !p.NativeCut || !strings.HasSuffix(p.Native, "\n") || !strings.HasPrefix(page.String(), p.Native) || len(p.Native) > MaxPageText || p.Bytes != page.Len() {
		t.Errorf("%d bytes are shown, cut %t", len(p.Native), p.NativeCut)
	}
	if !errors.Is(p.Err, errTooLargeToExplain) || p.Fed != 1 || p.Unified == "" || len(p.Reports) > 0 {
		t.Errorf("fed %d, %d reports, %v", p.Fed, len(p.Reports), p.Err)
	}
}

func TestCutText(t *testing.T) {
	for name, c := range map[string]struct {
		page, want string
		cut        bool
	}{
		"whole":         {"a 1\nb 2\n", "a 1\nb 2\n", false},
		"without end":   {"a 1\nb 2", "a 1\nb 2", false},
		"cut":           {"aaaa 1\nbbbbbbbbbbbb 2\n", "aaaa 1\n", true},
		"one line":      {strings.Repeat("a", 100), "", true},
		"no UTF-8":      {"a\xff 1\n", "a\uFFFD 1\n", false},
		"much of JSON":  {"a\n\x01\x01\x01\x01\x01\n", "a\n", true},
		"no characters": {"", "", false},
	} {
		text, cut := cutText([]byte(c.page), 16)
		if text != c.want || cut != c.cut {
			t.Errorf("%s: %q %t", name, text, cut)
		}
	}
}

func FuzzCutText(f *testing.F) {
	f.Add("a 1\nb 2\n", 16)
	f.Add("<>&\u2028\xff\"\\\x00\n", 8)
	f.Fuzz(func(t *testing.T, page string, limit int) {
		limit = max(limit%1000, 1)
		text, cut := cutText([]byte(page), limit)
		if !utf8.ValidString(text) || !cut && text != strings.ToValidUTF8(page, "\uFFFD") || cut && text != "" && !strings.HasSuffix(text, "\n") {
			t.Errorf("%q of %q, cut %t", text, page, cut)
		}
		if len(text) > limit {
			t.Errorf("%q has %d bytes, allowed are %d", text, len(text), limit)
		}
		if data, _ := json.Marshal(text); len(data) > 2*limit+2 {
			t.Errorf("%q has %d bytes as JSON, allowed are %d", text, len(data), 2*limit+2)
		}
	})
}
