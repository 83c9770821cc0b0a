package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

// canaries are secrets and names that are planted wherever the programs take text.
var canaries = map[string]string{
	"admin token": "Kx7qZ9vWm2Rt4yHsKx7qZ9vW", "join token": "Lp3nB8cDf6Gj1kMnLp3nB8cD", "API key": "sk-Bq3nXw8Lf5", "key in a header": "Yw6tRe2Qa9",
	"prompt": "zyrquon blimfarg quaxil", "first word of a prompt": "zyrquon", "word of a prompt": "blimfarg", "user": "zaphodqx", "author": "trilliansq", "e-mail": "trilliansq@betelgeuse.example", "comment": "flimwark",
	"worker": "krillmaw", "cluster": "grunthos", "label": "rackzz17", "model": "vogon/poetry-70b-zx", "instance": "vogsphere-zero", "host": "megadodo.invalid", "password": "hunzerqp2",
	"label value": "blortzim",
}

// spellings are those of a canary that a file may have.
func spellings(c string) []string {
	quoted, _ := json.Marshal(c)
	list := []string{c, url.QueryEscape(c), url.PathEscape(c), strings.Trim(string(quoted), `"`)}
	for offset := range 3 {
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			whole := enc.EncodeToString([]byte(strings.Repeat("\x00", offset) + c))
			if inner := whole[4 : len(whole)-4]; len(inner) >= 8 {
				list = append(list, inner)
			}
		}
	}
	return list
}

// run runs a command to its end.
func runCommand(t *testing.T, env []string, name string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	text, err := cmd.CombinedOutput()
	failed, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case ok:
		code = failed.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return string(text), code
}

// A bundle of real programs has what a maintainer needs, and none of the secrets and names that are planted in every place that takes text.
func TestBundleHoldsNoSecrets(t *testing.T) {
	c := canaries
	home := filepath.Join(t.TempDir(), c["user"])
	data := filepath.Join(home, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	adminFile, joinFile := write("data/admin-token", c["admin token"]), write("data/worker-token", c["join token"])

	page := fmt.Sprintf("# HELP vllm:num_requests_running %[1]s\n# %[1]s\n# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{model_name=%[2]q,engine=\"0\"} 3\n"+
		"# TYPE vllm:prompt_tokens_total counter\nvllm:prompt_tokens_total{model_name=%[2]q,prompt=%[1]q,user=%[3]q,reason=%[4]q} 7\n%[1]s\n", c["prompt"], c["model"], c["e-mail"], c["label value"])
	answer := func(status int, text string) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Www-Authenticate", "Bearer realm="+c["key in a header"])
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}))
		t.Cleanup(srv.Close)
		return strings.TrimPrefix(srv.URL, "http://")
	}
	engines := []string{
		"url=http://" + c["user"] + ":" + c["API key"] + "@" + answer(200, page) + ",instance=" + c["instance"] + ",runtime=vLLM,version=0.11.0",
		"url=http://" + answer(401, "wrong key "+c["API key"]+" for "+c["prompt"]) + ",model=" + c["model"] + ",instance=" + c["instance"] + "-one",
		"url=http://" + answer(200, "<html>"+c["prompt"]+"</html>") + ",model=" + c["model"] + ",instance=" + c["instance"] + "-two",
		"url=http://" + c["host"] + ":8000,model=" + c["prompt"] + ",instance=" + c["instance"] + "-three",
	}

	port, metrics := programs.FreePort(t), programs.FreePort(t)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	env := []string{"HOME=" + home, "USER=" + c["user"], "GPUSTACK_GRAFANA_ADMIN_PASSWORD=" + c["password"], "GPUSTACK_DISABLE_BUILTIN_GRAFANA=true"}
	server := startWith(t, env, programs.Path(t, "stackscope"), "server", "--host=127.0.0.1", "--port", strconv.Itoa(port), "--metrics-port", strconv.Itoa(metrics), "--data-dir", data,
		"--server-external-url", "https://"+c["host"]+"/"+c["user"], "--log-level=debug")
	server.AwaitURL(30*time.Second, base+"/healthz")
	args := []string{
		"--server-url", base, "--token-file", joinFile, "--data-dir", filepath.Join(home, "worker"), "--worker-name", c["worker"], "--cluster", c["cluster"],
		"--worker-label", "rack=" + c["label"], "--worker-metrics-host=127.0.0.1", "--worker-metrics-port", strconv.Itoa(programs.FreePort(t)), "--discover=none", "--gpu-vendors=none",
		"--worker-ip=127.0.0.1", "--log-level=debug",
	}
	for _, e := range engines {
		args = append(args, "--engine", e)
	}
	startWith(t, env, programs.Path(t, "stackscope-worker"), args...)
	programs.Eventually(t, 60*time.Second, "the engines are read", func() error {
		body, err := programs.Get(base + "/v2/model-instances")
		if err != nil {
			return err
		}
		var list wire.List[wire.ModelInstance]
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			return err
		}
		told := 0
		for _, in := range list.Items {
			if in.State == fleet.InstanceRunning || in.StateMessage != "" {
				told++
			}
		}
		if told < len(engines) {
			return fmt.Errorf("%s", body)
		}
		return nil
	})

	document := fmt.Sprintf(`{"extends": "default", "runtime_mapping": {"vLLM": {"*": {"vllm:x": {"to": "gpustack:num_requests_running", "match": {"reason": %q}, "approx": %q}}}}}`, c["label value"], c["prompt"])
	query := url.Values{"comment": {c["comment"] + " " + c["e-mail"]}, "author": {c["author"]}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/v2/metrics/config?"+query.Encode(), strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c["admin token"])
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
	// Wrong tokens and refused registrations are logged.
	for _, path := range []string{"/v2/revoked-workers?" + c["prompt"], "/" + url.PathEscape(c["prompt"])} {
		bad, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, http.NoBody)
		if err != nil {
			continue
		}
		bad.Header.Set("Authorization", "Bearer "+c["API key"])
		bad.Header.Set("User-Agent", c["prompt"])
		if resp, err := http.DefaultClient.Do(bad); err == nil {
			_ = resp.Body.Close()
		}
	}

	path := filepath.Join(home, "bundle.tar.gz")
	remote := []string{"--server-url", base, "--token-file", adminFile}
	out, code := runCommand(t, env, programs.Path(t, "stackscope"), append([]string{"doctor", "--bundle", path}, remote...)...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	packed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := programs.Unpack(t, bytes.NewReader(packed))
	if dir := os.Getenv("STACKSCOPE_BUNDLE"); dir != "" { // to look at it
		for name, text := range files {
			_ = os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
			_ = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
		}
	}
	for name, text := range files {
		folded := strings.ToLower(text)
		for what, canary := range canaries {
			for _, s := range spellings(canary) {
				if strings.Contains(folded, strings.ToLower(s)) {
					at := strings.Index(folded, strings.ToLower(s))
					t.Errorf("%s has the %s: ...%s...", name, what, text[max(0, at-200):min(len(text), at+200)])
					break
				}
			}
		}
	}
	for name, want := range map[string]string{
		"versions.txt": "engine: vLLM 0.11.0 (1)", "server/settings.txt": "--log-level=debug  (flag)", "server/log.txt": " INFO listening component=server what=API address=", "server/metrics.prom": "stackscope_build_info{",
		"inventory.json": `"state": "running"`, "mapping.json": `"to": "gpustack:num_requests_running"`, "doctor.json": `"id": "engine_`, "workers/1/settings.txt": "--engine=url=http://",
		"workers/1/log.txt": " INFO ", "workers/1/metrics.prom": "gpustack:", "workers/1/check.txt": "its clock is ", "pages/1.prom": "vllm:num_requests_running{model_name=\"model-", "manifest.txt": "doctor.json",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s lacks %q:\n%.2000s", name, want, files[name])
		}
		if !strings.Contains(out, name) && name != "manifest.txt" {
			t.Errorf("the program does not list %s:\n%s", name, out)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: %v", info, err)
	}
	if out, code = runCommand(t, env, programs.Path(t, "stackscope"), append([]string{"doctor", "--bundle", path}, remote...)...); code != 1 || !strings.Contains(out, "not overwritten") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if out, code = runCommand(t, env, programs.Path(t, "stackscope"), "doctor", c["instance"]+"-one", "--server-url", base); code != 3 || !strings.Contains(out, "> x ") {
		t.Errorf("exit code %d: %s", code, out)
	}
}
