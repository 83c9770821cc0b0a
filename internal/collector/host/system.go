package host

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/shirou/gopsutil/v4/host"

	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

const maxFileBytes = 64 << 10

// readOS reads os-release, as all Linux distributions have it. gopsutil, which is asked elsewhere, would start a program
// for it.
func (r *rooted) readOS(ctx context.Context) ([]sample, error) {
	var name, version string
	text, err := r.file("etc", "os-release")
	if errors.Is(err, fs.ErrNotExist) {
		text, err = r.file("usr", "lib", "os-release")
	}
	switch {
	case err == nil:
		name, version = osRelease(text)
	case runtime.GOOS != "linux":
		if name, _, version, err = host.PlatformInformationWithContext(r.context(ctx)); err != nil {
			return nil, err
		}
	default:
		return nil, err
	}
	if name == "" {
		return nil, errors.New("os-release names no system")
	}
	return []sample{{&catalog.WorkerNodeOS, 1, exposition.RenderLabels("name", name, "version", version)}}, nil
}

// osRelease returns NAME and VERSION_ID of an os-release file.
func osRelease(text string) (name, version string) {
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		key, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "NAME":
			name = value
		case "VERSION_ID":
			version = value
		}
	}
	return name, version
}

func (r *rooted) readKernel(context.Context) ([]sample, error) {
	arch, err := host.KernelArch()
	if err != nil {
		return nil, err
	}
	name, release, version := runtime.GOOS, "", ""
	if runtime.GOOS == "linux" {
		for file, to := range map[string]*string{"ostype": &name, "osrelease": &release, "version": &version} {
			text, err := r.file("proc", "sys", "kernel", file)
			if err != nil {
				return nil, err
			}
			*to = strings.TrimSpace(text)
		}
	} else if release, err = host.KernelVersion(); err != nil {
		return nil, err
	}
	return []sample{{&catalog.WorkerNodeKernel, 1, exposition.RenderLabels("name", name, "release", release, "version", version, "architecture", arch)}}, nil
}

func (r *rooted) readUptime(ctx context.Context) ([]sample, error) {
	seconds, err := host.UptimeWithContext(r.context(ctx))
	if err != nil {
		return nil, err
	}
	return []sample{{metric: &catalog.WorkerNodeUptime, value: float64(seconds)}}, nil
}

func (r *rooted) file(elem ...string) (text string, err error) {
	f, err := os.Open(r.path(elem...))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := httpjson.ReadAll(f, maxFileBytes)
	return string(data), err
}
