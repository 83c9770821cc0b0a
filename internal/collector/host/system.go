package host

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

const maxFileBytes = 64 << 10

// readOS reads os-release, as all Linux distributions have it.
func (r *hostFS) readOS(context.Context) ([]sample, error) {
	text, err := r.readFile("etc", "os-release")
	if errors.Is(err, fs.ErrNotExist) {
		text, err = r.readFile("usr", "lib", "os-release")
	}
	if err != nil {
		return nil, err
	}
	name, version := osRelease(text)
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

func (r *hostFS) readKernel(context.Context) ([]sample, error) {
	arch, err := kernelArch()
	if err != nil {
		return nil, err
	}
	var name, release, version string
	for file, to := range map[string]*string{"ostype": &name, "osrelease": &release, "version": &version} {
		text, err := r.readFile("proc", "sys", "kernel", file)
		if err != nil {
			return nil, err
		}
		*to = strings.TrimSpace(text)
	}
	return []sample{{&catalog.WorkerNodeKernel, 1, exposition.RenderLabels("name", name, "release", release, "version", version, "architecture", arch)}}, nil
}

func (r *hostFS) readUptime(context.Context) ([]sample, error) {
	seconds, err := uptime()
	if err != nil {
		return nil, err
	}
	return []sample{{metric: &catalog.WorkerNodeUptime, value: seconds}}, nil
}

// readFile reads a short file that is rarely read.
func (r *hostFS) readFile(elem ...string) (text string, err error) {
	f, err := os.Open(r.path(elem...))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := httpjson.ReadAll(f, maxFileBytes)
	return string(data), err
}
