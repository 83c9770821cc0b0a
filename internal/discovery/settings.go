package discovery

import (
	"bytes"
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/fleet"
)

// Environment variables that an operator sets for an engine.
const (
	envModel    = "STACKSCOPE_MODEL"
	envInstance = "STACKSCOPE_INSTANCE"
	envPort     = "STACKSCOPE_METRICS_PORT"
	envPath     = "STACKSCOPE_METRICS_PATH"
	envDisable  = "STACKSCOPE_DISABLE"
	envRole     = "STACKSCOPE_ROLE"
	envGroup    = "STACKSCOPE_GROUP"
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
	labelRole     = "stackscope.role"
	labelGroup    = "stackscope.group"
)

// labelLLMDRole is the label that llm-d and KServe give to the pods of prefill and decode. cri-dockerd writes a pod's labels on the
// container that holds the pod's network namespace.
const labelLLMDRole = "llm-d.ai/role"

// Labels of containers that GPUStack's runtime starts. The workload is the model instance's name. The component is `run` for the engine
// and pause, init or unhealthy-restart for its helpers.
const (
	labelGPUStackWorkload  = "runtime.gpustack.ai/workload"
	labelGPUStackComponent = "runtime.gpustack.ai/component"
	gpuStackRun            = "run"
)

// settings are what an operator set for an engine. Empty fields are not set.
type settings struct {
	disabled                       bool
	model, instance, path, runtime string
	group                          string
	role                           fleet.Role
	port                           int
}

// withDefaults returns s with its empty fields taken from defaults.
func (s settings) withDefaults(defaults settings) settings {
	s.disabled = s.disabled || defaults.disabled
	for _, field := range []struct {
		to   *string
		from string
	}{{&s.model, defaults.model}, {&s.instance, defaults.instance}, {&s.path, defaults.path}, {&s.runtime, defaults.runtime}, {&s.group, defaults.group}, {(*string)(&s.role), string(defaults.role)}} {
		if *field.to == "" {
			*field.to = field.from
		}
	}
	if s.port == 0 {
		s.port = defaults.port
	}
	return s
}

// environment holds the variables of an engine that are read here.
type environment map[string]string

// readEnvironment keeps stackscope's own and the given variables of name=value entries. All others may be secrets.
func readEnvironment(entries func(yield func([]byte) bool), names ...string) environment {
	env := environment{}
	for entry := range entries {
		name, value, ok := bytes.Cut(entry, []byte("="))
		if !ok || len(value) > maxPathBytes {
			continue
		}
		switch string(name) {
		case envModel, envInstance, envPort, envPath, envDisable, envGPUStackDisable, envRole, envGroup:
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
		model:    labelText(e[envModel], maxModelBytes),
		instance: labelText(e[envInstance], maxInstanceBytes),
		path:     pagePath(e[envPath]),
		role:     roleNamed(e[envRole]),
		group:    labelText(e[envGroup], fleet.MaxGroup),
		port:     port,
	}
}

// port returns the first port that one of these variables sets, 0 if none does.
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
		model:    labelText(labels[labelModel], maxModelBytes),
		instance: labelText(labels[labelInstance], maxInstanceBytes),
		path:     pagePath(labels[labelPath]),
		role:     cmp.Or(roleNamed(labels[labelRole]), roleNamed(labels[labelLLMDRole])),
		group:    labelText(labels[labelGroup], fleet.MaxGroup),
		runtime:  labelText(labels[labelRuntime], maxRuntimeBytes),
		port:     port,
	}
	if s.instance == "" {
		s.instance = labelText(labels[labelGPUStackWorkload], maxInstanceBytes)
	}
	return s
}

// isTrue reports whether a switch is on: any value but "", 0, false, no and off.
func isTrue(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "", "0", "false", "no", "off":
		return false
	}
	return true
}

// pagePath returns s if it is a URL's path without query and fragment, else "".
func pagePath(s string) string {
	s = labelText(s, maxPathBytes)
	if _, err := url.Parse(s); err != nil || !strings.HasPrefix(s, "/") || strings.ContainsAny(s, "?# ") {
		return ""
	}
	return s
}
