package bundle

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/fleet"
)

// kernelForm is a kernel's release with the suffixes of distributions; others may hold names of hosts or people.
var kernelForm = regexp.MustCompile(`^[0-9]{1,2}\.[0-9]{1,3}\.[0-9]{1,3}(?:-[0-9]{1,5})?(?:[.-][0-9]{1,4})*(?:-(?:generic|aws|azure|gcp|amd64|arm64|lowlatency|cloud-amd64|microsoft-standard-WSL2))?(?:\.el[0-9]{1,2}(?:_[0-9]{1,2})?\.(?:x86_64|aarch64))?$`)

// distributions are the ids in /etc/os-release that stay.
var distributions = []string{
	"ubuntu", "debian", "rhel", "centos", "rocky", "almalinux", "fedora", "alpine", "sles", "opensuse-leap", "arch", "amzn", "ol", "openeuler", "kylin", "anolis", "uos", "nixos", "wolfi",
}

// Versions returns the versions of the server, its machine, the workers and the GPUs, a line each.
func (r *Redactor) Versions(s *fleet.Snapshot) []byte {
	var b strings.Builder
	build := buildinfo.Get()
	fmt.Fprintf(&b, "server: %s, revision %s, %s %s/%s, %d CPUs\n", build.Version, build.Revision, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	fmt.Fprintf(&b, "kernel: %s\n", r.kernel(readLine("/proc/sys/kernel/osrelease")))
	fmt.Fprintf(&b, "system: %s\n", r.distribution(readLine("/etc/os-release")))
	count(&b, "worker version", len(s.Workers), func(i int) string { return r.build(s.Workers[i].Version) })
	count(&b, "engine", len(s.Instances), func(i int) string {
		in := &s.Instances[i]
		return cmp.Or(r.Label("runtime", in.Runtime), fleet.Unknown) + " " + cmp.Or(r.Label("version", in.RuntimeVersion), fleet.Unknown)
	})
	count(&b, "GPU", len(s.GPUs), func(i int) string {
		g := &s.GPUs[i]
		return fmt.Sprintf("%s %s, driver %s, firmware %s", r.Label("vendor", g.Vendor), r.Label("gpu_name", g.Name),
			cmp.Or(r.Label("driver_version", g.Driver), fleet.Unknown), cmp.Or(r.Label("firmware_version", g.Firmware), fleet.Unknown))
	})
	return []byte(b.String())
}

// buildForm is a version as git describe gives it to builds of a checkout.
var buildForm = regexp.MustCompile(`^(?:v[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}-[0-9]{1,5}-g)?[0-9a-f]{7,12}(?:-dirty)?$`)

// build returns the version of a stackscope program.
func (r *Redactor) build(version string) string {
	if buildForm.MatchString(version) && strings.ContainsAny(version, "abcdef") { // digits alone may say who somebody is
		return version
	}
	return r.Label("version", version)
}

// count writes how often each text is there.
func count(b *strings.Builder, what string, n int, text func(i int) string) {
	counts := map[string]int{}
	var texts []string
	for i := range n {
		t := text(i)
		if counts[t] == 0 {
			texts = append(texts, t)
		}
		counts[t]++
	}
	slices.Sort(texts)
	for _, t := range texts {
		fmt.Fprintf(b, "%s: %s (%d)\n", what, t, counts[t])
	}
}

// readLine returns a small file without the blanks around it; empty: it cannot be read.
func readLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil || len(data) > 16<<10 {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func (r *Redactor) kernel(release string) string {
	if release == "" || kernelForm.MatchString(release) {
		return cmp.Or(release, fleet.Unknown)
	}
	return kernelNumber.FindString(release) + " " + r.Hash(Text, release)
}

var kernelNumber = regexp.MustCompile(`^[0-9]{1,2}\.[0-9]{1,3}(?:\.[0-9]{1,3})?`)

// distribution returns the id and the version in the text of /etc/os-release.
func (r *Redactor) distribution(text string) string {
	id, release := fleet.Unknown, ""
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch {
		case key == "ID" && slices.Contains(distributions, value):
			id = value
		case key == "ID":
			id = r.Hash(Text, value)
		case key == "VERSION_ID" && (shortInteger.MatchString(value) || isVersion(value)):
			release = " " + value
		}
	}
	return id + release
}
