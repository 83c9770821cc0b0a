package grafana

import (
	"cmp"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	envAdminPassword = "GF_SECURITY_ADMIN_PASSWORD" //nolint:gosec // the name of a variable
	envRootURL       = "GF_SERVER_ROOT_URL"
	// Grafana knows this setting from 13.2.1 on. 13.2.0 has none like it: its packages do not find their plugins without us either.
	envBundledPlugins = "GF_PATHS_BUNDLED_PLUGINS"
)

func parseEnviron(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok && name != "" {
			env[name] = value
		}
	}
	return env
}

// placeholder is a reference to another setting, such as %(http_port)s.
var placeholder = regexp.MustCompile(`%\(\w+\)s`)

// rootURL returns Grafana's root_url, from which it makes its links, and the path of that URL, under which it serves. Without an
// external URL the operator's own setting is used. An empty root means that the URL is made from the port.
func rootURL(o Options, env map[string]string) (root, path string) {
	root = o.ExternalURL
	if root == "" {
		root = env[envRootURL]
	}
	u, err := url.Parse(placeholder.ReplaceAllStringFunc(root, func(name string) string {
		if strings.Contains(name, "port") {
			return "0"
		}
		return "http" // valid as a scheme and as a host
	}))
	if root == "" || err != nil || u.Host == "" {
		return "", o.PathPrefix
	}
	return strings.TrimSuffix(root, "/") + "/", strings.TrimSuffix(u.Path, "/")
}

// defaults are the settings that an operator's GF_* variables override. Each is in Grafana 10.0's conf/defaults.ini or was added
// later; a Grafana that does not have a setting ignores its variable.
func (g *Grafana) defaults() map[string]string {
	d := map[string]string{
		"GF_AUTH_ANONYMOUS_ENABLED":  "true",
		"GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
		"GF_AUTH_DISABLE_LOGIN_FORM": "true",
		"GF_USERS_ALLOW_SIGN_UP":     "false",
		"GF_SECURITY_ADMIN_USER":     "admin",
		envAdminPassword:             wellKnownPassword,

		// Nothing leaves the machine.
		"GF_ANALYTICS_REPORTING_ENABLED":           "false",
		"GF_ANALYTICS_CHECK_FOR_UPDATES":           "false",
		"GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES":    "false",
		"GF_ANALYTICS_FEEDBACK_LINKS_ENABLED":      "false",
		"GF_NEWS_NEWS_FEED_ENABLED":                "false",
		"GF_PLUGINS_PLUGIN_ADMIN_ENABLED":          "false", // its catalogue is on grafana.com
		"GF_PLUGINS_PREINSTALL_AUTO_UPDATE":        "false", // from 12 on
		"GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED": "true",  // from 10.1 on; the key is built in
		"GF_SECURITY_DISABLE_GRAVATAR":             "true",
		"GF_SNAPSHOTS_EXTERNAL_ENABLED":            "false",

		"GF_DATABASE_WAL": "true", // without it, concurrent writes at startup fail with "database is locked"

		"GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": filepath.Join(g.opts.Dir, dashboardsDir, homeDashboard),
		"GF_LOG_FRONTEND_PROVIDER":                  "grafana", // 10.0 warns about its own default
		"GF_LOG_LEVEL":                              "info",
	}
	if g.env["GF_PLUGINS_PREINSTALL"] == "" && g.env["GF_PLUGINS_PREINSTALL_SYNC"] == "" {
		d["GF_PLUGINS_PREINSTALL_DISABLED"] = "true" // from 11 on
	}
	if u := cmp.Or(g.rootURL, g.opts.PrometheusURL); strings.HasPrefix(u, "https://") { // without a root URL, the scheme of our own server
		d["GF_SECURITY_COOKIE_SECURE"] = "true"
	}
	return d
}

// forced are the settings that the supervisor and the proxy rely on: an operator's variables do not override them.
func (g *Grafana) forced(port int) map[string]string {
	root := g.rootURL
	if root == "" {
		root = "http://" + net.JoinHostPort("localhost", strconv.Itoa(port)) + g.opts.PathPrefix + "/"
	}
	f := map[string]string{
		"GF_SERVER_PROTOCOL":            "http",
		"GF_SERVER_HTTP_ADDR":           loopback,
		"GF_SERVER_HTTP_PORT":           strconv.Itoa(port),
		"GF_SERVER_ENFORCE_DOMAIN":      "false",
		"GF_SERVER_SERVE_FROM_SUB_PATH": "true",
		envRootURL:                      root,
		"GF_PATHS_DATA":                 g.opts.Dir,
		"GF_PATHS_LOGS":                 filepath.Join(g.opts.Dir, "log"),
		"GF_PATHS_PLUGINS":              filepath.Join(g.opts.Dir, "plugins"),
		"GF_PATHS_PROVISIONING":         filepath.Join(g.opts.Dir, provisioningDir),
		"GF_LOG_MODE":                   "console",
		"GF_LOG_CONSOLE_FORMAT":         "json",
		"GOMEMLIMIT":                    strconv.FormatInt(g.opts.MemoryLimit, 10),
	}
	if g.password != "" {
		f[envAdminPassword] = g.password
	}
	return f
}

// ours are the prefixes of variables that are not passed to Grafana: stackscope's settings, with their secrets, and those that
// systemd sets for this process.
var ours = [...]string{"GPUSTACK_", "STACKSCOPE_", "NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_"}

// environment returns the environment of Grafana's process, sorted.
func (g *Grafana) environment(port int) []string {
	env := g.defaults()
	for name, value := range g.env {
		if value != "" || !strings.HasPrefix(name, "GF_") { // Grafana ignores an empty setting
			env[name] = value
		}
	}
	maps.Copy(env, g.forced(port))
	maps.DeleteFunc(env, func(name, _ string) bool {
		return slices.ContainsFunc(ours[:], func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	})
	pairs := make([]string, 0, len(env))
	for name, value := range env {
		pairs = append(pairs, name+"="+value)
	}
	slices.Sort(pairs)
	return pairs
}
