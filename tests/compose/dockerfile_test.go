package compose_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

const dockerfilePath = "../../packaging/Dockerfile"

// targets are the images, with the program of each.
var targets = map[string]string{"stackscope": "stackscope", "stackscope-slim": "stackscope", "stackscope-worker": "stackscope-worker"}

// parseDockerfile reads a Dockerfile as BuildKit does. What its linter warns of is an error.
func parseDockerfile(t *testing.T, text []byte) (stages []instructions.Stage, args map[string]string) {
	t.Helper()
	file, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range file.Warnings {
		t.Errorf("%s: %s", dockerfilePath, w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, where []parser.Range) {
		t.Errorf("%s:%d: %s: %s", dockerfilePath, where[0].Start.Line, rule, message)
	}})
	stages, meta, err := instructions.Parse(file.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	args = map[string]string{}
	for _, command := range meta {
		for _, a := range command.Args {
			args[a.Key] = a.ValueString()
		}
	}
	return stages, args
}

var byDigest = regexp.MustCompile(`^[a-z0-9./-]+:[a-z0-9.-]+@sha256:[0-9a-f]{64}$`)

// faults says what is wrong with the stages: bases that are not pinned, programs that would run on the target's platform, images that
// run as root or have no health check of their own.
func faults(stages []instructions.Stage, args map[string]string) (list []string) {
	add := func(format string, values ...any) { list = append(list, fmt.Sprintf(format, values...)) }
	byName := map[string]*instructions.Stage{}
	native := map[string]bool{} // stages of the building machine's platform
	for i := range stages {
		s := &stages[i]
		base := regexp.MustCompile(`\$\{(\w+)\}`).ReplaceAllStringFunc(s.BaseName, func(name string) string { return args[name[2:len(name)-1]] })
		parent := byName[s.BaseName]
		if parent == nil && !byDigest.MatchString(base) {
			add("stage %s: base %q is not pinned by tag and digest", s.Name, base)
		}
		native[s.Name] = s.Platform == "$BUILDPLATFORM" || parent != nil && native[parent.Name]
		byName[s.Name] = s
		for _, command := range s.Commands {
			switch c := command.(type) {
			case *instructions.RunCommand:
				if !native[s.Name] {
					add("stage %s: RUN %s runs on the target's platform, which needs emulation", s.Name, strings.Join(c.CmdLine, " "))
				}
			case *instructions.CopyCommand:
				if c.From != "" && byName[c.From] == nil {
					add("stage %s: COPY --from=%s: no such stage", s.Name, c.From)
				}
				if native[c.From] && !native[s.Name] && c.From == "native" {
					add("stage %s: it gets programs of the building machine's platform", s.Name)
				}
			case *instructions.EnvCommand:
				for _, e := range c.Env {
					if secret.MatchString(e.Key) {
						add("stage %s: ENV %s", s.Name, e.Key)
					}
				}
			case *instructions.ArgCommand:
				for _, a := range c.Args {
					if secret.MatchString(a.Key) {
						add("stage %s: ARG %s stays readable in the image", s.Name, a.Key)
					}
				}
			}
		}
	}
	for target, program := range targets {
		s := byName[target]
		if s == nil {
			add("there is no target %s", target)
			continue
		}
		if native[target] {
			add("target %s is of the building machine's platform", target)
		}
		list = append(list, imageFaults(target, program, s, byName)...)
	}
	if last := stages[len(stages)-1].Name; last != "stackscope" {
		add("the default target is %s", last)
	}
	return list
}

var secret = regexp.MustCompile(`(?i)token|password|secret|credential|_key$`)

// imageFaults says what is wrong with the settings of an image, with those of the stages below it.
func imageFaults(target, program string, s *instructions.Stage, byName map[string]*instructions.Stage) (list []string) {
	var user, stop string
	var entry, health []string
	ports, labels := map[string]bool{}, map[string]bool{}
	var chain []*instructions.Stage
	for ; s != nil; s = byName[s.BaseName] {
		chain = append(chain, s)
	}
	for _, s := range slices.Backward(chain) {
		for _, command := range s.Commands {
			switch c := command.(type) {
			case *instructions.UserCommand:
				user = c.User
			case *instructions.StopSignalCommand:
				stop = c.Signal
			case *instructions.EntrypointCommand:
				entry = c.CmdLine
				if c.PrependShell {
					list = append(list, target+": its entry point needs a shell")
				}
			case *instructions.HealthCheckCommand:
				health = c.Health.Test
			case *instructions.ExposeCommand:
				for _, p := range c.Ports {
					ports[p] = true
				}
			case *instructions.LabelCommand:
				for _, l := range c.Labels {
					labels[l.Key] = true
				}
			case *instructions.VolumeCommand:
				list = append(list, target+": a declared volume lies over one that is mounted under the directory's other name")
			}
		}
	}
	if user != "10161:10161" {
		list = append(list, fmt.Sprintf("%s: user %q: Kubernetes knows only from a number other than 0 that it is not root", target, user))
	}
	if stop != "SIGTERM" || !slices.Equal(entry, []string{program}) || !slices.Equal(health, []string{"CMD", program, "healthcheck"}) {
		list = append(list, fmt.Sprintf("%s: stop signal %s, entry point %v, health check %v", target, stop, entry, health))
	}
	if !ports["10151"] || program == "stackscope" && !ports["10161"] {
		list = append(list, fmt.Sprintf("%s: exposed ports %v", target, ports))
	}
	for _, name := range []string{"title", "description", "licenses", "source", "version", "revision", "vendor", "documentation"} {
		if !labels["org.opencontainers.image."+name] {
			list = append(list, fmt.Sprintf("%s: no label %s", target, name))
		}
	}
	return list
}

func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile(dockerfilePath)
	if err != nil {
		t.Fatal(err)
	}
	stages, args := parseDockerfile(t, text)
	for _, fault := range faults(stages, args) {
		t.Error(fault)
	}
	// The C library of the builder and of the images is that of one Debian release.
	if !strings.Contains(args["GO_IMAGE"], "-trixie@") || !strings.Contains(args["BASE_IMAGE"], "-debian13:") {
		t.Errorf("programs are built in %s and run in %s: are both of one Debian release?", args["GO_IMAGE"], args["BASE_IMAGE"])
	}
	if release := goRelease(t); !strings.HasPrefix(args["GO_IMAGE"], "golang:"+release+".") {
		t.Errorf("programs are built in %s, and go.mod wants Go %s", args["GO_IMAGE"], release)
	}

	// The checks see what they are for.
	for _, tt := range []struct{ from, to, want string }{
		{"FROM ${BASE_IMAGE} AS base\n", "FROM ${BASE_IMAGE} AS base\nRUN true\n", "RUN true runs on the target's platform"},
		{"FROM ${BASE_IMAGE} AS base\n", "FROM --platform=$BUILDPLATFORM ${BASE_IMAGE} AS base\n", "is of the building machine's platform"},
		{"FROM base AS stackscope-worker\n", "FROM base AS stackscope-worker\nARG API_TOKEN\n", "ARG API_TOKEN"},
		{"ARG BASE_IMAGE=gcr.io/", "ARG BASE_IMAGE=debian:13\nARG OTHER=gcr.io/", "not pinned"},
		{"USER 10161:10161", "USER stackscope", `user "stackscope"`},
		{`CMD ["stackscope-worker", "healthcheck"]`, `CMD ["true"]`, "health check"},
		{"COPY --from=build /src/bin/stackscope /us", "COPY --from=native /src/bin/stackscope /us", "gets programs of the building machine's platform"},
	} {
		if !bytes.Contains(text, []byte(tt.from)) {
			t.Fatalf("the Dockerfile has no %q", tt.from)
		}
		stages, args := parseDockerfile(t, bytes.Replace(text, []byte(tt.from), []byte(tt.to), 1))
		if got := faults(stages, args); !slices.ContainsFunc(got, func(f string) bool { return strings.Contains(f, tt.want) }) {
			t.Errorf("with %q in place of %q: %q, want %q among them", tt.to, tt.from, got, tt.want)
		}
	}
}

// goRelease returns the Go version of the programs' module, without the patch.
func goRelease(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^go ([0-9]+\.[0-9]+)`).FindSubmatch(text)
	if m == nil {
		t.Fatal("go.mod has no Go version")
	}
	return string(m[1])
}
