package discovery

import (
	"bytes"
	"net/url"
	"slices"
	"strings"
)

// Environment variables that an operator sets for an engine.
const (
	envModel    = "STACKSCOPE_MODEL"
	envInstance = "STACKSCOPE_INSTANCE"
	envPort     = "STACKSCOPE_METRICS_PORT"
	envPath     = "STACKSCOPE_METRICS_PATH"
	envDisable  = "STACKSCOPE_DISABLE"
	// envGPUStackDisable leaves an engine out when it has any value, as in GPUStack.
	envGPUStackDisable = "GPUSTACK_DISABLE_METRICS"
)

// Labels that an operator gives to a container.
const (
	labelModel    = "stackscope.model"
	labelInstance = "stackscope.instance"
	labelPort     = "stackscope.port"
	labelPath     = "stackscope.path"
	labelRuntime  = "stackscope.runtime"
	labelDisable  = "stackscope.disable"
)

// Labels that GPUStack's runtime gives to the containers that it starts: the workload has the model instance's name, and the
// component says whether the container runs it (run) or helps it to (pause, init, unhealthy-restart).
const (
	labelGPUStackWorkload  = "runtime.gpustack.ai/workload"
	labelGPUStackComponent = "runtime.gpustack.ai/component"
	gpuStackRun            = "run"
)

// settings are what an operator set for an engine. What is empty was not set.
type settings struct {
	disabled                       bool
	model, instance, path, runtime string
	port                           int
}

// over returns s with what it leaves open taken from below.
func (s settings) over(below settings) settings {
	s.disabled = s.disabled || below.disabled
	for _, field := range []struct {
		to   *string
		from string
	}{{&s.model, below.model}, {&s.instance, below.instance}, {&s.path, below.path}, {&s.runtime, below.runtime}} {
		if *field.to == "" {
			*field.to = field.from
		}
	}
	if s.port == 0 {
		s.port = below.port
	}
	return s
}

// environment are the variables of an engine that matter here.
type environment map[string]string

// readEnvironment takes the settings and the given variables from name=value entries and forgets all others.
func readEnvironment(entries func(yield func([]byte) bool), names ...string) environment {
	env := environment{}
	for entry := range entries {
		name, value, ok := bytes.Cut(entry, []byte("="))
		if !ok || len(value) > maxPathBytes {
			continue
		}
		switch string(name) {
		case envModel, envInstance, envPort, envPath, envDisable, envGPUStackDisable:
		default:
			if !slices.Contains(names, string(name)) {
				continue
			}
		}
		env[string(name)] = string(value)
	}
	return env
}

func (e environment) settings() settings {
	port, _ := parsePort(e[envPort])
	return settings{
		disabled: e[envGPUStackDisable] != "" || isTrue(e[envDisable]),
		model:    text(e[envModel], maxModelBytes),
		instance: text(e[envInstance], maxInstanceBytes),
		path:     pagePath(e[envPath]),
		port:     port,
	}
}

// port returns the port that the first of these variables sets, 0 if none does.
func (e environment) port(names []string) int {
	for _, name := range names {
		if port, ok := parsePort(e[name]); ok && port > 0 {
			return port
		}
	}
	return 0
}

func labelSettings(labels map[string]string) settings {
	port, _ := parsePort(labels[labelPort])
	s := settings{
		disabled: isTrue(labels[labelDisable]),
		model:    text(labels[labelModel], maxModelBytes),
		instance: text(labels[labelInstance], maxInstanceBytes),
		path:     pagePath(labels[labelPath]),
		runtime:  text(labels[labelRuntime], maxRuntimeBytes),
		port:     port,
	}
	if s.instance == "" {
		s.instance = text(labels[labelGPUStackWorkload], maxInstanceBytes)
	}
	return s
}

// isTrue reports whether a switch is on: any value but those that say no.
func isTrue(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "", "0", "false", "no", "off":
		return false
	}
	return true
}

// pagePath returns s if it is the path of a page, else "".
func pagePath(s string) string {
	s = text(s, maxPathBytes)
	if _, err := url.Parse(s); err != nil || !strings.HasPrefix(s, "/") || strings.ContainsAny(s, "?# ") {
		return ""
	}
	return s
}
