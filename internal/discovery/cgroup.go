package discovery

import "strings"

const (
	containerIDLen = 64
	shortIDLen     = 12
)

// containerID returns the full id of a process' container from the text of /proc/PID/cgroup, "" if it is in none. The last path
// segment with an id counts, so that a container within a container has its own. Known forms:
//
//	0::/system.slice/docker-ID.scope                                     Docker, systemd, cgroup v2
//	12:memory:/docker/ID                                                 Docker, cgroup v1
//	0::/kubepods.slice/.../cri-containerd-ID.scope                       containerd in Kubernetes
//	11:cpu:/kubepods-besteffort-podUID.slice:cri-containerd:ID           the same without systemd's driver
//	0::/kubepods.slice/.../crio-ID.scope                                 CRI-O
//	0::/machine.slice/libpod-ID.scope/container                          Podman
func containerID(text string) string {
	for line := range strings.Lines(text) {
		_, rest, ok := strings.Cut(strings.TrimRight(line, "\n"), ":")
		if !ok {
			continue
		}
		_, path, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		for path != "" {
			at := strings.LastIndexByte(path, '/')
			if id := segmentID(path[at+1:]); id != "" {
				return id
			}
			path = path[:max(at, 0)]
		}
	}
	return ""
}

// segmentID returns the container id in one segment of a cgroup's path. The monitors of Podman and CRI-O (conmon) have the id of a
// container in their name but run outside it.
func segmentID(segment string) string {
	if strings.Contains(segment, "conmon") {
		return ""
	}
	segment = strings.TrimSuffix(segment, ".scope")
	segment = segment[strings.LastIndexAny(segment, "-:")+1:]
	if len(segment) != containerIDLen || strings.Trim(segment, "0123456789abcdef") != "" {
		return ""
	}
	return segment
}

func shortID(id string) string { return id[:min(len(id), shortIDLen)] }
