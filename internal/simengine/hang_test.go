package simengine

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// settled is a page without the families of the process itself.
func settled(page []byte) string {
	return regexp.MustCompile(`(?m)^.*process_.*\n`).ReplaceAllString(string(page), "")
}

func gauge(t *testing.T, page []byte, name string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + `\{[^}]*\} (\S+)$`).FindSubmatch(page)
	if m == nil {
		t.Fatalf("no %s on the page", name)
	}
	return strings.TrimSuffix(string(m[1]), ".0")
}

func runningGauge(profile string) string {
	switch profile {
	case ProfileSGLang:
		return "sglang:num_running_reqs"
	case ProfileMindIE:
		return "num_requests_running"
	}
	return "vllm:num_requests_running"
}

func TestHang(t *testing.T) {
	for _, profile := range Profiles() {
		t.Run(profile, func(t *testing.T) {
			e, c := open(t, profile, 5, tuesday(15))
			c.add(10 * time.Minute)
			e.Burst(20)
			e.SetHang(HangShown)
			before := e.page()
			if gauge(t, before, runningGauge(profile)) == "0" {
				t.Fatal("nothing is running in a hung engine that shows its requests")
			}
			c.add(3 * time.Hour)
			if after := e.page(); settled(after) != settled(before) {
				t.Errorf("something moves while it hangs:\n%s", firstDifference(after, before))
			}
			e.SetHang(HangHidden)
			if got := gauge(t, e.page(), runningGauge(profile)); got != "0" {
				t.Errorf("a hung engine that hides its requests shows %s", got)
			}
			e.SetHang(HangShown)
			if after := e.page(); settled(after) != settled(before) {
				t.Errorf("hidden requests did not come back:\n%s", firstDifference(after, before))
			}
			e.SetHang(NotHung)
			served := e.sim.st.generated
			c.add(time.Second)
			e.page()
			if e.sim.st.generated == served {
				t.Error("it does not continue after the hang")
			}
			if e.skipped < 3*3600-1 {
				t.Errorf("skipped %.0f seconds, want the hang's three hours", e.skipped)
			}
		})
	}
}

// TestHangIsDeterministic: the result depends on when it hung, not on how often it was read.
func TestHangIsDeterministic(t *testing.T) {
	var pages [][]byte
	for _, looks := range []int{1, 50} {
		e, c := open(t, ProfileVLLM, 9, tuesday(15))
		pass := func() {
			for range looks {
				c.add(2 * time.Minute / time.Duration(looks))
				e.page()
			}
		}
		pass()
		e.SetHang(HangHidden)
		pass()
		e.SetHang(NotHung)
		pass()
		e.SetIdle(true)
		pass()
		e.SetIdle(false)
		pass()
		pages = append(pages, e.page())
	}
	if !bytes.Equal(pages[0], pages[1]) {
		t.Errorf("looking changed what happened:\n%s", firstDifference(pages[0], pages[1]))
	}
}

func TestIdle(t *testing.T) {
	for _, profile := range Profiles() {
		c := &clock{t: tuesday(15)}
		e, err := New(Options{Profile: profile, Start: tuesday(14), Now: c.now, Idle: true})
		if err != nil {
			t.Fatal(err)
		}
		c.add(30 * time.Minute)
		if e.page(); e.sim.st.received != 0 {
			t.Errorf("%s: %d requests at an idle engine", profile, e.sim.st.received)
		}
		e.SetIdle(false)
		c.add(time.Minute)
		if e.page(); e.sim.st.received < 10 {
			t.Errorf("%s: %d requests in the minute after", profile, e.sim.st.received)
		}
		e.SetIdle(true)
		c.add(5 * time.Minute)
		if got := gauge(t, e.page(), runningGauge(profile)); got != "0" {
			t.Errorf("%s: %s are running five minutes after the last request", profile, got)
		}
		was := e.sim.st.received
		c.add(20 * time.Hour)
		if e.page(); e.sim.st.received != was {
			t.Errorf("%s: requests come to an idle engine", profile)
		}
	}
}

func TestControlled(t *testing.T) {
	e, _ := open(t, ProfileSGLang, 1, tuesday(15))
	s := httptest.NewServer(e.Controlled())
	defer s.Close()
	ask := func(ctx context.Context, method, path string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, method, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"POST", "/simulation?hang=silent", 204},
		{"GET", "/health", 200},
		{"POST", "/simulation?hang=stuck", 400},
		{"POST", "/simulation?idle=maybe", 400},
		{"POST", "/simulation?speed=2", 400},
	} {
		if got := ask(t.Context(), c.method, c.path); got != c.want {
			t.Errorf("%s %s: got %d, want %d", c.method, c.path, got, c.want)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got := ask(short, "GET", "/metrics/"); got != 0 {
		t.Errorf("a silent engine answered %d", got)
	}
	answer := make(chan int)
	go func() { answer <- ask(t.Context(), "GET", "/metrics/") }()
	if got := ask(t.Context(), "POST", "/simulation?hang=none&idle=true"); got != 204 {
		t.Errorf("got %d", got)
	}
	if got := <-answer; got != 200 {
		t.Errorf("after the silence it answered %d", got)
	}
}
