package prom

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	commonconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"

	"github.com/stackscope/stackscope/internal/targets"
)

const httpConfigFlag = "--builtin-prometheus-http-config-file"

// jobWorkersTLS scrapes the workers with TLS when there are credentials for these alone. Its targets have JobWorkers as their job.
const jobWorkersTLS = JobWorkers + "-tls"

// CheckHTTPConfigFile validates a file for Options.HTTPConfigFile.
func CheckHTTPConfigFile(path string) error {
	_, err := loadClientConfig(path)
	return err
}

// warnInsecureTLS warns about credentials that are sent without verification of the target.
func (o *Options) warnInsecureTLS() {
	c := o.client
	if c == nil || !c.TLSConfig.InsecureSkipVerify {
		return
	}
	if c.BasicAuth != nil || c.Authorization != nil || c.HTTPHeaders != nil {
		o.Logger.Warn("with insecure_skip_verify, credentials are sent to any server at a worker's address, and anybody with the join token can register an address: set ca_file instead",
			"flag", httpConfigFlag, "file", o.HTTPConfigFile)
	}
}

// loadClientConfig reads the HTTP client configuration for scraping workers. It returns nil for an empty path.
func loadClientConfig(path string) (*commonconfig.HTTPClientConfig, error) {
	if path == "" {
		return nil, nil
	}
	c, _, err := commonconfig.LoadHTTPConfigFile(path)
	if err == nil {
		err = checkClientConfig(c)
	}
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok && pe.Path == path {
			err = pe.Err
		}
		return nil, fmt.Errorf("%s %s: %s", httpConfigFlag, path, strings.Join(strings.Fields(err.Error()), " "))
	}
	c.FollowRedirects = false // a redirect could lead to any server, which would get the credentials
	return c, nil
}

func checkClientConfig(c *commonconfig.HTTPClientConfig) error {
	switch {
	case c.OAuth2 != nil:
		return errors.New("oauth2 is not supported, because it connects to a server other than a worker: use basic_auth, authorization or tls_config")
	case c.ProxyURL.URL != nil || c.ProxyFromEnvironment:
		return errors.New("proxies are not supported, because the server checks each worker's address when it connects: remove proxy_url and proxy_from_environment")
	}
	files := []string{}
	if a := c.BasicAuth; a != nil {
		files = append(files, a.UsernameFile, a.PasswordFile)
	}
	if a := c.Authorization; a != nil {
		files = append(files, a.CredentialsFile)
	}
	if c.HTTPHeaders != nil {
		for _, h := range c.HTTPHeaders.Headers {
			files = append(files, h.Files...)
		}
	}
	for _, name := range slices.DeleteFunc(files, func(s string) bool { return s == "" }) {
		if _, err := os.ReadFile(name); err != nil {
			return err
		}
	}
	_, err := commonconfig.NewClientFromConfig(*c, JobWorkers) // reads the certificates
	return err
}

// separateTLSJob reports whether workers with TLS have a scrape job of their own, because only they get the credentials.
func (o *Options) separateTLSJob() bool { return o.client != nil && !o.HTTPConfigPlain }

// jobs returns the scrape jobs, including the separate one of workers with TLS.
func (o *Options) jobs() []Job {
	jobs := slices.Clone(o.Jobs)
	for _, j := range o.Jobs {
		if o.separateTLSJob() && j.Name == JobWorkers {
			jobs = append(jobs, Job{jobWorkersTLS, j.Interval})
		}
	}
	return jobs
}

// withClientConfig returns c with the HTTP client configuration of workers. The API never shows the result, because it has secrets and
// file names.
func (o *Options) withClientConfig(c *config.Config) *config.Config {
	if o.client == nil {
		return c
	}
	name := JobWorkers
	if o.separateTLSJob() {
		name = jobWorkersTLS
	}
	with := *c
	with.ScrapeConfigs = slices.Clone(c.ScrapeConfigs)
	for i, sc := range with.ScrapeConfigs {
		if sc.JobName == name {
			own := *sc
			own.HTTPClientConfig = *o.client
			with.ScrapeConfigs[i] = &own
		}
	}
	return &with
}

// splitByScheme returns the target groups of JobWorkers and of jobWorkersTLS.
func splitByScheme(groups []targets.Group) (plain, secure []*targetgroup.Group) {
	for _, g := range convertGroups(JobWorkers, groups) {
		if g.Labels[model.SchemeLabel] == "https" {
			g.Labels[model.JobLabel] = JobWorkers
			secure = append(secure, g)
		} else {
			plain = append(plain, g)
		}
	}
	return plain, secure
}
