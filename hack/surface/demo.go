package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	readyTimeout   = 2 * time.Minute
	stopTimeout    = 20 * time.Second
	requestTimeout = 10 * time.Second
	scrapeInterval = time.Second
)

// demo is a running `stackscope demo`.
type demo struct {
	cmd                  *exec.Cmd
	dir                  string
	log                  bytes.Buffer // to be read after done
	done                 chan struct{}
	api, metrics, worker string // base URLs
}

func startDemo(ctx context.Context, dir, scenario string) (*demo, error) {
	program, err := filepath.Abs(filepath.Join(dir, "stackscope"))
	if err != nil {
		return nil, err
	}
	d := &demo{done: make(chan struct{})}
	ports, err := freePorts(ctx, 3)
	if err != nil {
		return nil, err
	}
	d.api, d.metrics, d.worker = "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1], "http://127.0.0.1:"+ports[2]
	if d.dir, err = os.MkdirTemp("", "surface-"); err != nil {
		return nil, err
	}
	args := []string{
		"demo", "--host", "127.0.0.1", "--port", ports[0], "--metrics-port", ports[1],
		"--worker-metrics-port", ports[2], "--disable-builtin-grafana", "--data-dir", filepath.Join(d.dir, "data"),
	}
	if scenario != "" {
		args = append(args, "--scenario", scenario)
	}
	d.cmd = exec.Command(program, args...) //nolint:gosec,noctx // what the user names; stop ends it
	d.cmd.Env = []string{"HOME=" + d.dir, "TMPDIR=" + d.dir, "PATH=" + os.Getenv("PATH")}
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	if err := d.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(d.dir))
	}
	go func() {
		_ = d.cmd.Wait()
		close(d.done)
	}()
	return d, nil
}

// stop ends the demo and removes its files.
func (d *demo) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(stopTimeout):
		_ = d.cmd.Process.Kill()
		<-d.done
	}
	_ = os.RemoveAll(d.dir)
}

// freePorts returns n different ports of 127.0.0.1 on which nobody listens.
func freePorts(ctx context.Context, n int) ([]string, error) {
	var config net.ListenConfig
	ports := make([]string, n)
	for i := range ports {
		ln, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = ln.Close() }()                      // not before all are found: they would be the same
		ports[i] = strconv.Itoa(ln.Addr().(*net.TCPAddr).Port) //nolint:forcetypeassert // of a TCP listener
	}
	return ports, nil
}

// awaitReady waits until the server is ready and its Prometheus has scraped an engine's metrics.
func (d *demo) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		body, err := get(ctx, d.api+"/prometheus/api/v1/query?query=gpustack:num_requests_running")
		if err == nil && bytes.Contains(body, []byte(`"metric"`)) {
			return nil
		}
		select {
		case <-d.done:
			return fmt.Errorf("the demo has ended: %s", d.log.String())
		case <-ctx.Done():
			return fmt.Errorf("the demo is not ready after %s: %w", readyTimeout, err)
		case <-time.After(scrapeInterval):
		}
	}
}

// addRoutes adds the routes and JSON keys of the OpenAPI document.
func (d *demo) addRoutes(ctx context.Context, lines lineSet) error {
	body, err := get(ctx, d.api+"/openapi.json")
	if err != nil {
		return err
	}
	var document struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Type any }
			}
		}
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return fmt.Errorf("%s/openapi.json: %w", d.api, err)
	}
	for path, methods := range document.Paths {
		for method := range methods {
			lines.add("route %s %s", strings.ToUpper(method), path)
		}
	}
	for name, schema := range document.Components.Schemas {
		for key, property := range schema.Properties {
			lines.add("key %s.%s %v", name, key, property.Type)
		}
	}
	return nil
}

// addPages adds the metrics of worker and server and the labels of discovered targets, once they have been the same for settle.
func (d *demo) addPages(ctx context.Context, lines lineSet, settle, limit time.Duration) error {
	metrics := map[string]lineSet{} // label names by page, name and type
	begin := time.Now()
	for changed := begin; time.Since(changed) < settle; {
		if time.Since(begin) > limit {
			return fmt.Errorf("the pages still bring something new after %s", limit)
		}
		news := false
		for page, url := range map[string]string{"worker": d.worker + "/metrics", "server": d.metrics + "/metrics"} {
			body, err := get(ctx, url)
			if err != nil {
				return err
			}
			parser := expfmt.NewTextParser(model.LegacyValidation)
			families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
			if err != nil {
				return fmt.Errorf("%s: %w", url, err)
			}
			for name, family := range families {
				key := page + " " + name + " " + strings.ToLower(family.GetType().String())
				if metrics[key] == nil {
					metrics[key] = lineSet{}
					news = true
				}
				for _, m := range family.GetMetric() {
					for _, label := range m.GetLabel() {
						news = news || !metrics[key][label.GetName()]
						metrics[key][label.GetName()] = true
					}
				}
			}
		}
		for _, path := range []string{"/metrics/targets", "/metrics/proxy-targets"} {
			labels, err := d.targetLabels(ctx, path)
			if err != nil {
				return err
			}
			for _, label := range labels {
				line := fmt.Sprintf("target %s %s", path, label)
				news = news || !lines[line]
				lines[line] = true
			}
		}
		if news {
			changed = time.Now()
		}
		select {
		case <-d.done:
			return fmt.Errorf("the demo has ended: %s", d.log.String())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(scrapeInterval):
		}
	}
	for key, labels := range metrics {
		lines.add("metric %s {%s}", key, strings.Join(labels.sorted(), ","))
	}
	return nil
}

// targetLabels returns the label names of the targets that HTTP service discovery lists.
func (d *demo) targetLabels(ctx context.Context, path string) ([]string, error) {
	body, err := get(ctx, d.metrics+path)
	if err != nil {
		return nil, err
	}
	var groups []struct{ Labels map[string]string }
	if err := json.Unmarshal(body, &groups); err != nil {
		return nil, fmt.Errorf("%s%s: %w", d.metrics, path, err)
	}
	var names []string
	for _, group := range groups {
		for name := range group.Labels {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return body, err
}
