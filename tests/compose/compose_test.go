// Package compose_test reads the compose files as Docker's own plugin does. It is a module of its own, so that the plugin and
// what that needs stay out of the programs' dependencies.
package compose_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

const folder = "../../docker-compose"

const (
	serverFile       = "docker-compose.server.yaml"
	externalFile     = "docker-compose.external-observability.yaml"
	workerFile       = "docker-compose.worker.yaml"
	unprivilegedFile = "docker-compose.worker.unprivileged.yaml"
	nvidiaFile       = "docker-compose.worker.nvidia.yaml"
	buildFile        = "docker-compose.build.yaml"
	workerBuildFile  = "docker-compose.worker.build.yaml"
)

// project is what `docker compose config` prints, as far as the tests look at it.
type project struct {
	Services map[string]service `json:"services"`
	Volumes  map[string]any     `json:"volumes"`
}

type service struct {
	Image         string            `json:"image"`
	PullPolicy    string            `json:"pull_policy"`
	User          string            `json:"user"`
	ReadOnly      bool              `json:"read_only"`
	CapAdd        []string          `json:"cap_add"`
	CapDrop       []string          `json:"cap_drop"`
	SecurityOpt   []string          `json:"security_opt"`
	Privileged    bool              `json:"privileged"`
	ContainerName string            `json:"container_name"`
	Build         *build            `json:"build"`
	Command       []string          `json:"command"`
	Restart       string            `json:"restart"`
	Environment   map[string]string `json:"environment"`
	Ports         []port            `json:"ports"`
	Volumes       []mount           `json:"volumes"`
	Healthcheck   *healthcheck      `json:"healthcheck"`
	MemLimit      string            `json:"mem_limit"`
	NetworkMode   string            `json:"network_mode"`
	PID           string            `json:"pid"`
	Networks      map[string]any    `json:"networks"`
	Deploy        map[string]any    `json:"deploy"`
}

type build struct {
	Context    string `json:"context"`
	Dockerfile string `json:"dockerfile"`
	Target     string `json:"target"`
}

type port struct {
	Target    int    `json:"target"`
	Published string `json:"published"`
}

type mount struct {
	Type   string `json:"type"`
	Source string `json:"source"`
	Target string `json:"target"`
	// ReadOnly says that the container may not write there.
	ReadOnly bool `json:"read_only"`
}

type healthcheck struct {
	Test []string `json:"test"`
}

var plugin = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("./build-plugin").Output()
	if err != nil {
		return "", fmt.Errorf("tests/compose/build-plugin: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
})

// compose runs `docker compose` in the folder of the compose files, with the given variables and no others of ours.
func compose(t *testing.T, env []string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	program, err := plugin()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = folder
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

func load(t *testing.T, env []string, files ...string) project {
	t.Helper()
	var args []string
	for _, f := range files {
		args = append(args, "-f", f)
	}
	stdout, stderr, err := compose(t, env, append(args, "config", "--format", "json")...)
	if err != nil {
		t.Fatalf("docker compose %v config: %v\n%s", args, err, stderr)
	}
	if stderr != "" {
		t.Errorf("docker compose %v config warns: %s", args, stderr)
	}
	var p project
	if err := json.Unmarshal([]byte(stdout), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Services) == 0 {
		t.Fatalf("docker compose %v config has no services", args)
	}
	return p
}

// required are the variables without which a file is refused, by file.
var required = map[string][]string{
	serverFile:   nil,
	externalFile: {"GPUSTACK_GRAFANA_URL=http://192.0.2.10:3000"},
	workerFile:   {"GPUSTACK_SERVER_URL=http://192.0.2.10", "GPUSTACK_TOKEN_FILE=./worker-token"},
	unprivilegedFile: {
		"GPUSTACK_SERVER_URL=http://192.0.2.10", "GPUSTACK_TOKEN_FILE=./worker-token", "GPUSTACK_WORKER_IP=192.0.2.7", "GPUSTACK_WORKER_NAME=gpu-7",
	},
}

// additions are the files that go behind another one, and those they go behind.
var additions = map[string][]string{
	nvidiaFile:      {workerFile, unprivilegedFile},
	buildFile:       {serverFile, externalFile},
	workerBuildFile: {workerFile, unprivilegedFile},
}

// all returns every project that can be started.
func all(t *testing.T) map[string]project {
	t.Helper()
	projects := map[string]project{}
	for addition, files := range additions {
		for _, file := range files {
			projects[file+" "+addition] = load(t, required[file], file, addition)
		}
	}
	for file, env := range required {
		projects[file] = load(t, env, file)
	}
	return projects
}

func TestEveryFileIsTested(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(folder, "*.y*ml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		if _, ok := required[name]; !ok && additions[name] == nil {
			t.Errorf("%s is not tested", name)
		}
	}
	if want := len(required) + len(additions); len(files) != want {
		t.Errorf("%d compose files, want %d", len(files), want)
	}
}

// What must be set is asked for with a text that says how, also when it is empty.
func TestRequiredVariables(t *testing.T) {
	for file, variables := range required {
		for i, variable := range variables {
			name, _, _ := strings.Cut(variable, "=")
			for _, env := range [][]string{
				slices.Delete(slices.Clone(variables), i, i+1),
				append(slices.Delete(slices.Clone(variables), i, i+1), name+"="),
			} {
				_, stderr, err := compose(t, env, "-f", file, "config", "--quiet")
				if err == nil {
					t.Errorf("%s is accepted with %v", file, env)
				} else if !strings.Contains(stderr, name+" is missing a value: set it to") {
					t.Errorf("%s without %s: the message does not say what to set:\n%s", file, name, stderr)
				}
			}
		}
	}
}

var pinned = regexp.MustCompile(`^docker\.io/[a-z]+/[a-z-]+:v?[0-9]+\.[0-9]+\.[0-9]+$`)

func TestServices(t *testing.T) {
	for name, p := range all(t) {
		for service, s := range p.Services {
			t.Run(name+"/"+service, func(t *testing.T) {
				checkImage(t, s)
				checkMounts(t, p, s)
				if s.Restart != "unless-stopped" {
					t.Errorf("restart: %q", s.Restart)
				}
				if s.MemLimit == "" {
					t.Error("its memory has no limit")
				}
				if s.Healthcheck == nil {
					t.Error("it has no health check")
				}
				if ours(s) {
					checkRights(t, s)
				}
			})
		}
	}
}

func checkImage(t *testing.T, s service) {
	t.Helper()
	if s.Build == nil {
		if !pinned.MatchString(s.Image) {
			t.Errorf("image %s is not pinned to a version", s.Image)
		}
		if s.PullPolicy != "" && s.PullPolicy != "missing" {
			t.Errorf("its image is not pulled: pull_policy %q", s.PullPolicy)
		}
		return
	}
	if s.PullPolicy != "build" || strings.HasPrefix(s.Image, "docker.io/") {
		t.Errorf("what is built here is %s with pull_policy %q: it must not look like a release", s.Image, s.PullPolicy)
	}
	dockerfile, err := os.ReadFile(filepath.Join("..", "..", "packaging", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(dockerfile), " AS "+s.Build.Target+"\n") {
		t.Errorf("packaging/Dockerfile has no target %q", s.Build.Target)
	}
	if _, tag, ok := strings.Cut(s.Image, ":"); !ok || tag == "latest" {
		t.Errorf("image %s: give it a tag", s.Image)
	}
	if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
		t.Errorf("what builds it is missing: %v", err)
	}
}

// ours reports whether a service runs a program of this repository.
func ours(s service) bool { return strings.Contains(s.Image, "stackscope/stackscope") }

// checkRights demands that a service has no right that it does not need, and that its own program checks it.
func checkRights(t *testing.T, s service) {
	t.Helper()
	program := "stackscope"
	if strings.Contains(s.Image, "stackscope-worker") {
		program = "stackscope-worker"
	}
	if want := []string{"CMD", program, "healthcheck"}; !slices.Equal(s.Healthcheck.Test, want) {
		t.Errorf("health check %v, want %v", s.Healthcheck.Test, want)
	}
	if !s.ReadOnly || s.Privileged || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		t.Errorf("it may do more than it needs: read_only %v, privileged %v, cap_drop %v, security_opt %v", s.ReadOnly, s.Privileged, s.CapDrop, s.SecurityOpt)
	}
	if s.User == "0:0" { // the worker of the machine
		if want := []string{"DAC_READ_SEARCH", "SYSLOG", "SYS_PTRACE"}; !slices.Equal(slices.Sorted(slices.Values(s.CapAdd)), want) {
			t.Errorf("capabilities %v, want %v", s.CapAdd, want)
		}
		return
	}
	if len(s.CapAdd) > 0 || s.PID == "host" || s.NetworkMode == "host" {
		t.Errorf("who is not root has capabilities %v, pid %q, network %q", s.CapAdd, s.PID, s.NetworkMode)
	}
	for _, m := range s.Volumes {
		if slices.Contains(machine, m.Source) {
			t.Errorf("who is not root has the machine's %s", m.Source)
		}
	}
}

// Nobody may write to a service without a password: what has published ports has no receiver of samples and no admin API.
func TestNothingTakesWritesUnasked(t *testing.T) {
	for name, p := range all(t) {
		for service, s := range p.Services {
			for _, arg := range s.Command {
				for _, flag := range []string{"remote-write-receiver", "enable-otlp-receiver", "web.enable-admin-api", "web.enable-lifecycle"} {
					if strings.Contains(arg, flag) && len(s.Ports) > 0 {
						t.Errorf("%s/%s: %s, and ports %v are published", name, service, arg, s.Ports)
					}
				}
			}
		}
	}
}

// The images of a file are those of one release: the next one, or the one that CHANGELOG.md begins with.
func TestRelease(t *testing.T) {
	changelog, err := os.ReadFile(filepath.Join("..", "..", "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := "0.1.0"
	if m := regexp.MustCompile(`(?m)^## v?\[?([0-9]+\.[0-9]+\.[0-9]+)`).FindSubmatch(changelog); m != nil {
		want = string(m[1])
	}
	for name, p := range all(t) {
		for service, s := range p.Services {
			if ours(s) && s.Build == nil && !strings.HasSuffix(s.Image, ":"+want) {
				t.Errorf("%s/%s: image %s, and the release is %s", name, service, s.Image, want)
			}
		}
	}
}

// machine are paths of the machine itself.
var machine = []string{"/", "/var/run/docker.sock"}

// checkMounts demands that every file that is mounted is in the repository, and every volume declared: Docker would make an
// empty folder in its place.
func checkMounts(t *testing.T, p project, s service) {
	t.Helper()
	for _, m := range s.Volumes {
		switch m.Type {
		case "bind":
			if slices.Contains(machine, m.Source) {
				continue
			}
			if _, err := os.Stat(m.Source); err != nil {
				t.Errorf("mounted at %s: %v", m.Target, err)
			}
		case "volume":
			if _, ok := p.Volumes[m.Source]; !ok {
				t.Errorf("volume %s is not declared", m.Source)
			}
		default:
			t.Errorf("mount of type %s", m.Type)
		}
	}
}

// The registry, namespace and tag of each image can be replaced.
func TestImagesCanBeReplaced(t *testing.T) {
	env := append(slices.Clone(required[externalFile]), "IMAGE_REGISTRY=mirror.example.com", "STACKSCOPE_IMAGE_NAMESPACE=a", "STACKSCOPE_TAG=v1",
		"PROMETHEUS_IMAGE_NAMESPACE=b", "PROMETHEUS_TAG=v2", "GRAFANA_IMAGE_NAMESPACE=c", "GRAFANA_TAG=v3")
	p := load(t, env, externalFile)
	for service, want := range map[string]string{
		"gpustack-server": "mirror.example.com/a/stackscope:v1",
		"prometheus":      "mirror.example.com/b/prometheus:v2",
		"grafana":         "mirror.example.com/c/grafana:v3",
	} {
		if got := p.Services[service].Image; got != want {
			t.Errorf("%s: image %s, want %s", service, got, want)
		}
	}
}

// What the specification says of its two files: names, ports, volumes, settings.
func TestSpecification(t *testing.T) {
	server := load(t, nil, serverFile)
	external := load(t, required[externalFile], externalFile)

	published := map[string][]string{}
	for name, s := range external.Services {
		for _, p := range s.Ports {
			if fmt.Sprint(p.Target) != p.Published {
				t.Errorf("%s publishes %d as %s", name, p.Target, p.Published)
			}
			published[name] = append(published[name], p.Published)
		}
	}
	for name, want := range map[string][]string{"gpustack-server": {"80", "10161"}, "prometheus": {"9090"}, "grafana": {"3000"}} {
		if !slices.Equal(published[name], want) {
			t.Errorf("%s publishes %v, want %v", name, published[name], want)
		}
	}
	for _, volume := range []string{"gpustack-data", "prom_data"} {
		if _, ok := external.Volumes[volume]; !ok {
			t.Errorf("there is no volume %s", volume)
		}
	}
	for _, name := range []string{"GPUSTACK_DISABLE_BUILTIN_OBSERVABILITY", "GPUSTACK_GRAFANA_URL"} {
		if external.Services["gpustack-server"].Environment[name] == "" {
			t.Errorf("%s: the server is not told %s", externalFile, name)
		}
		if _, ok := server.Services["gpustack-server"].Environment[name]; ok {
			t.Errorf("%s: the server is told %s", serverFile, name)
		}
	}
	grafana := external.Services["grafana"].Environment
	for name, want := range map[string]string{
		"GF_AUTH_ANONYMOUS_ENABLED": "true", "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer", "GF_AUTH_DISABLE_LOGIN_FORM": "true",
		"GF_SECURITY_ADMIN_USER": "admin", "GF_SECURITY_ADMIN_PASSWORD": "grafana",
	} {
		if got := grafana[name]; got != want {
			t.Errorf("%s=%s, want %s", name, got, want)
		}
	}
	worker := load(t, required[workerFile], workerFile).Services["stackscope-worker"]
	if worker.NetworkMode != "host" || worker.PID != "host" {
		t.Errorf("the worker's network is %q and its processes' %q, want the machine's", worker.NetworkMode, worker.PID)
	}
	if load(t, required[workerFile], workerFile, nvidiaFile).Services["stackscope-worker"].Deploy["resources"] == nil {
		t.Errorf("%s reserves no cards", nvidiaFile)
	}
}
