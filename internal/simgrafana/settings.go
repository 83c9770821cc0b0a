package simgrafana

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// settings are values by section and key: the defaults of the home, overridden by the environment.
type settings map[string]map[string]string

func loadSettings(home string) (settings, error) {
	text, err := os.ReadFile(filepath.Join(home, "conf", "defaults.ini"))
	if err != nil {
		return nil, err
	}
	s, section := settings{}, "DEFAULT"
	variable := strings.NewReplacer(".", "_", "-", "_")
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimSuffix(name, "]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if set := os.Getenv("GF_" + strings.ToUpper(variable.Replace(section+"_"+key))); set != "" {
			value = set
		}
		if s[section] == nil {
			s[section] = map[string]string{}
		}
		if s[section][key], err = expand(value); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", section, key, err)
		}
	}
	return s, nil
}

var (
	fromFile  = regexp.MustCompile(`^\$__file\{(.*)\}$`)
	fromEnv   = regexp.MustCompile(`^\$(?:__env)?\{(.*)\}$`)
	reference = regexp.MustCompile(`%\((\w+)\)s`)
)

// expand resolves a value that refers to a file or a variable.
func expand(value string) (string, error) {
	if m := fromFile.FindStringSubmatch(value); m != nil {
		text, err := os.ReadFile(m[1])
		return strings.TrimSpace(string(text)), err
	}
	if m := fromEnv.FindStringSubmatch(value); m != nil {
		return os.Getenv(m[1]), nil
	}
	return value, nil
}

// get returns a value, in which references to other keys of the section are resolved.
func (s settings) get(section, key string) string {
	return reference.ReplaceAllStringFunc(s[section][key], func(name string) string {
		return s.get(section, reference.FindStringSubmatch(name)[1])
	})
}

// under returns a path. A relative one is relative to the home.
func (s settings) under(home, section, key string) string {
	if path := s.get(section, key); filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(home, s.get(section, key))
}

func (s settings) on(section, key string) bool { return s.get(section, key) == "true" }

// rootURL is the URL under which users reach Grafana, without a slash at the end.
func (s settings) rootURL() *url.URL {
	u, err := url.Parse(strings.TrimRight(s.get("server", "root_url"), "/"))
	if err != nil {
		return new(url.URL)
	}
	return u
}

// redacted returns all settings as an administrator sees them.
func (s settings) redacted() map[string]map[string]string {
	all := map[string]map[string]string{}
	for section, keys := range s {
		all[section] = map[string]string{}
		for key := range keys {
			all[section][key] = s.get(section, key)
			if strings.Contains(key, "password") {
				all[section][key] = "*********"
			}
		}
	}
	return all
}
