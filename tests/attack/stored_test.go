//go:build linux

package attack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

// reportOf is a report of one instance that was restarted so many times, and of another one if it has a name.
func reportOf(restarts int, more string) map[string]any {
	instances := []map[string]any{{"name": "e", "model": "m", "state": "running", "restart_count": restarts}}
	if more != "" {
		instances = append(instances, map[string]any{"name": more, "model": "m-" + more, "state": "running", "restart_count": 0})
	}
	return map[string]any{"applied_generation": 0, "instances": instances}
}

func (s *server) report(w joined, body any) (int, string, error) {
	status, answer, err := s.send(http.MethodPut, fmt.Sprintf("/v2/workers/%d/report", w.ID), w.Credential, body)
	return status, string(answer), err
}

// mappingNamed is a metrics mapping that can be told from others by a name in it.
func mappingNamed(name string) map[string]any {
	return map[string]any{
		"gpustack_metrics": map[string]any{"gpustack:" + name: map[string]any{"type": "gauge", "description": "It."}},
		"runtime_mapping":  map[string]any{},
	}
}

// TestFullDisk: what the server cannot store it does not acknowledge, and it goes on serving what it knows.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := onSmallDisk(t, 32<<20)
	if disk == "" {
		return
	}
	s := serveIn(t, disk, nil, "--disable-builtin-observability")
	kept, err := s.join("kept", 1)
	if err != nil {
		t.Fatal(err)
	}
	quiet, err := s.join("quiet", 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []joined{kept, quiet} {
		if status, answer, err := s.report(w, reportOf(1, "")); status != http.StatusOK {
			t.Fatalf("%d %s %v", status, answer, err)
		}
	}
	full := newBallast(disk)
	if err := full.fill(); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, status int, answer string, err error) {
		t.Helper()
		if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(answer, "no space is left") || !strings.Contains(answer, "free space") {
			t.Errorf("%s on a full disk: %d %s %v", what, status, answer, err)
		}
	}
	send := func(method, path, token string, body any) (int, string, error) {
		status, answer, err := s.send(method, path, token, body)
		return status, string(answer), err
	}
	status, answer, err := send(http.MethodDelete, fmt.Sprint("/v2/workers/", kept.ID), s.adminToken, nil)
	refused("DELETE", status, answer, err)
	status, answer, err = send(http.MethodPost, "/v2/workers/register", s.joinToken, map[string]any{"uuid": "uuid-kept", "name": "renamed", "address": "127.0.0.1", "metrics_port": 1})
	refused("registering again", status, answer, err)
	status, answer, err = send(http.MethodPost, "/v2/workers/register", s.joinToken, map[string]any{"uuid": "new", "name": "new", "address": "10.0.0.1", "metrics_port": 1})
	refused("registering", status, answer, err)
	for range 3 {
		status, answer, err = s.report(kept, reportOf(2, ""))
		refused("report with news", status, answer, err)
	}
	status, answer, err = send(http.MethodPost, "/v2/metrics/config", s.adminToken, mappingNamed("refused"))
	refused("POST of a mapping", status, answer, err)
	if status, answer, err := s.report(quiet, reportOf(1, "")); status != http.StatusOK {
		t.Errorf("a heartbeat on a full disk: %d %s %v", status, answer, err)
	}
	s.shows(t, `"name":"kept"`, `"name":"quiet"`)
	if body, err := programs.Get(s.url + "/v2/model-instances"); err != nil || !strings.Contains(body, `"restart_count":2`) {
		t.Errorf("the news are not shown: %s %v", body, err)
	}
	if _, err := programs.Get(s.url + "/readyz"); err == nil || !strings.Contains(err.Error(), "no space is left") {
		t.Errorf("/readyz: %v", err)
	}
	s.exports(t, "stackscope_inventory_stored 0")

	s.Stop(syscall.SIGKILL) // with the disk full
	if err := full.free(); err != nil {
		t.Fatal(err)
	}
	s = serveIn(t, disk, nil, "--disable-builtin-observability")
	s.shows(t, `"name":"kept"`, `"name":"quiet"`)
	if body, err := programs.Get(s.url + "/v2/metrics/config"); err != nil || strings.Contains(body, "gpustack:refused") {
		t.Errorf("a mapping that was refused is in force: %s %v", body, err)
	}
	if status, answer, err := s.report(kept, reportOf(2, "")); status != http.StatusOK {
		t.Errorf("the credential from before: %d %s %v", status, answer, err)
	}
	// Without a restart it recovers too.
	if err := full.fill(); err != nil {
		t.Fatal(err)
	}
	status, answer, err = s.report(kept, reportOf(3, "new"))
	refused("report with a new instance", status, answer, err)
	if err := full.free(); err != nil {
		t.Fatal(err)
	}
	s.await(t, "/readyz")
	s.exports(t, "stackscope_inventory_stored 1")
	s.exports(t, "stackscope_inventory_unsaved_rows 0")
	if status, answer, err := s.report(kept, reportOf(3, "new")); status != http.StatusOK {
		t.Errorf("report when there is space again: %d %s %v", status, answer, err)
	}
	if status, answer, err := send(http.MethodDelete, fmt.Sprint("/v2/workers/", quiet.ID), s.adminToken, nil); status != http.StatusNoContent {
		t.Errorf("DELETE when there is space again: %d %s %v", status, answer, err)
	}
	s.Stop(syscall.SIGKILL)
	s = serveIn(t, disk, nil, "--disable-builtin-observability")
	s.shows(t, `"name":"kept"`)
	if body, err := programs.Get(s.url + "/v2/workers"); err != nil || strings.Contains(body, "quiet") {
		t.Errorf("the worker that was removed is back: %s %v", body, err)
	}
	if body, err := programs.Get(s.url + "/v2/model-instances"); err != nil || !strings.Contains(body, `"name":"new"`) || !strings.Contains(body, `"restart_count":3`) {
		t.Errorf("the report that was acknowledged is lost: %s %v", body, err)
	}
}

func (s *server) shows(t *testing.T, parts ...string) {
	t.Helper()
	body, err := programs.Get(s.url + "/v2/workers")
	for _, part := range parts {
		if err != nil || !strings.Contains(body, part) {
			t.Errorf("/v2/workers lacks %s: %s, %v", part, body, err)
		}
	}
}

func (s *server) exports(t *testing.T, line string) {
	t.Helper()
	programs.Eventually(t, 15*time.Second, "the page has "+line, func() error {
		body, err := programs.Get(s.metrics + "/metrics")
		if err == nil && !strings.Contains(body, line+"\n") {
			err = fmt.Errorf("it has not")
		}
		return err
	})
}

// TestMalformedReportChangesNothing: a report that is refused is not even a sign of life, and one that is bad in one instance is
// refused with its place.
func TestMalformedReportChangesNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, "--disable-builtin-observability")
	w, err := s.join("node-1", 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, instances := range map[string][]map[string]any{
		"control character": {{"name": "a", "model": "m", "state": "running", "restart_count": 0}, {"name": "b", "model": "m", "url": "http://h/\u0007", "state": "running", "restart_count": 0}},
		"long model":        {{"name": "a", "model": strings.Repeat("m", 513), "state": "running", "restart_count": 0}},
		"long in bytes":     {{"name": "a", "model": strings.Repeat("ü", 500), "state": "running", "restart_count": 0}},
		"bad url":           {{"name": "a", "model": "m", "url": "nothing", "state": "running", "restart_count": 0}},
		"the same name":     {{"name": "a", "model": "m", "state": "running", "restart_count": 0}, {"name": "a", "model": "m", "state": "running", "restart_count": 0}},
	} {
		status, answer, err := s.report(w, map[string]any{"applied_generation": 7, "instances": instances})
		if err != nil || status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s %v", name, status, answer, err)
		}
	}
	var list struct {
		Items []struct {
			State   string  `json:"state"`
			Applied int64   `json:"applied_generation"`
			Last    *string `json:"last_report_at"`
		} `json:"items"`
	}
	body, err := programs.Get(s.url + "/v2/workers")
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatal(err)
	}
	if err != nil || len(list.Items) != 1 || list.Items[0].State != "not_ready" || list.Items[0].Applied != 0 || list.Items[0].Last != nil {
		t.Errorf("refused reports made it %s, %v", body, err)
	}
}

// TestAddressesOfRegistrations: the server is led to no address that is nobody's own, and to its own machine only by workers there.
func TestAddressesOfRegistrations(t *testing.T) {
	t.Parallel()
	s := serve(t, "--disable-builtin-observability")
	client := http.DefaultClient
	register := func(address string, headers ...string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v2/workers/register",
			strings.NewReader(fmt.Sprintf(`{"uuid":%[1]q,"name":%[1]q,"address":%[1]q,"metrics_port":9}`, address)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.joinToken)
		req.Header.Set("Content-Type", "application/json")
		for k := 0; k < len(headers); k += 2 {
			req.Header.Set(headers[k], headers[k+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, a := range []string{
		"0.0.0.0", "0.0.0.1", "255.255.255.255", "240.0.0.1", "224.0.0.1", "169.254.169.254", "::", "fe80::1", "ff02::1", "::ffff:169.254.169.254", "::7f00:1",
		"2130706433", "0x7f.1", "127.1", "017700000001", "127.0.0.1.",
	} {
		if got := register(a); got != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", a, got)
		}
	}
	client = from("127.0.0.2") // the server takes few that are refused from one address
	for _, a := range []string{"127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "localhost", "localhost.", "a.localhost"} {
		if got := register(a, "X-Forwarded-For", "192.0.2.1"); got != http.StatusUnprocessableEntity {
			t.Errorf("%s through a proxy: %d", a, got)
		}
		if got := register(a); got != http.StatusOK {
			t.Errorf("%s from here: %d", a, got)
		}
	}
}
