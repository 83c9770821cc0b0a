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

// CheckHTTPConfigFile says what is wrong with a file for Options.HTTPConfigFile.
func CheckHTTPConfigFile(path string) error {
	_, err := loadClientConfig(path)
	return err
}

// warnOfClientConfig says what of the configuration gives secrets away.
func (o *Options) warnOfClientConfig() {
	c := o.client
	if c == nil || !c.TLSConfig.InsecureSkipVerify {
		return
	}
	if c.BasicAuth != nil || c.Authorization != nil || c.HTTPHeaders != nil {
		o.Logger.Warn("insecure_skip_verify gives the credentials beside it to whoever answers at a worker's address, which everybody with the join token chooses: give ca_file in its place",
			"flag", httpConfigFlag, "file", o.HTTPConfigFile)
	}
}

// loadClientConfig reads how workers are scraped: Prometheus' HTTP client configuration. Nil stands for an empty path.
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
	c.FollowRedirects = false // a target that isn't ours to scrape may be behind it, and it gets no credentials of ours
	return c, nil
}

func checkClientConfig(c *commonconfig.HTTPClientConfig) error {
	switch {
	case c.OAuth2 != nil:
		return errors.New("oauth2 is not used here, because it connects to a server that is no worker: give basic_auth, authorization or tls_config")
	case c.ProxyURL.URL != nil || c.ProxyFromEnvironment:
		return errors.New("proxies are not used here, because each address of a worker is checked before it is connected to: leave proxy_url and proxy_from_environment out")
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

// apart reports whether workers with TLS are scraped by a job of their own, since credentials don't go to others.
func (o *Options) apart() bool { return o.client != nil && !o.HTTPConfigPlain }

// jobs returns the scrape jobs, with that of workers with TLS where it is apart.
func (o *Options) jobs() []Job {
	jobs := slices.Clone(o.Jobs)
	for _, j := range o.Jobs {
		if o.apart() && j.Name == JobWorkers {
			jobs = append(jobs, Job{jobWorkersTLS, j.Interval})
		}
	}
	return jobs
}

// withClient returns c with how workers are scraped. It is not what the API shows: that has neither secrets nor names of files.
func (o *Options) withClient(c *config.Config) *config.Config {
	if o.client == nil {
		return c
	}
	name := JobWorkers
	if o.apart() {
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

// split returns the groups of JobWorkers and of jobWorkersTLS.
func split(groups []targets.Group) (plain, secure []*targetgroup.Group) {
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
