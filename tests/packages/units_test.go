package packages_test

import (
	"strings"
	"testing"
)

// exposure bounds what `systemd-analyze security` says of a unit, in tenths of its scale from 0 to 10. Versions of systemd weigh
// differently: the bound leaves some room above what docs/install/packages.md says.
var exposure = map[string]string{"stackscope": "20", "stackscope-worker": "35"}

// checkUnits looks at the units as they are installed.
func (m *machine) checkUnits(t *testing.T) {
	t.Helper()
	for _, unit := range units {
		file := "/usr/lib/systemd/system/" + unit + ".service"
		// The tree has no man, which verify would ask for the pages of Documentation=.
		if out := m.run(t, "systemd-analyze", "verify", "--man=no", file); strings.TrimSpace(out) != "" {
			t.Errorf("systemd-analyze verify %s:\n%s", unit, out)
		}
		out := strings.Split(strings.TrimSpace(m.run(t, "systemd-analyze", "security", "--no-pager", "--threshold="+exposure[unit], unit+".service")), "\n")
		t.Log(out[len(out)-1])
	}
}

// forbidden are commands that must fail for a program that a unit runs, and allowed ones that must succeed. They are what an intruder and
// what the program itself would do.
var (
	forbidden = map[string][]string{
		"stackscope": {
			"touch /etc/stackscope/file", "touch /usr/bin/file", "echo 1 >/proc/sys/vm/drop_caches", "dd if=/dev/kmsg of=/dev/null bs=8192 count=1", "cat /home/*/secret",
			"test -r /proc/1/environ", "unshare --user true", "mount -t tmpfs tmpfs /tmp",
		},
		"stackscope-worker": {
			"touch /etc/stackscope/file", "touch /usr/bin/file", "echo 1 >/proc/sys/vm/drop_caches", "touch /home/models/file",
			"exec 3<>/proc/$ENGINE/mem", "echo 1000 >/proc/$ENGINE/oom_score_adj", "kill -TERM $ENGINE", "systemctl stop engine", "head -c1 /dev/disk",
			"unshare --mount true", "mount -t tmpfs tmpfs /tmp", "mknod /dev/another b 7 0", "chown models /var/lib/stackscope-worker", "hostname another",
		},
	}
	allowed = map[string][]string{
		"stackscope": {"touch /var/lib/stackscope/file", "touch /tmp/file", "head -c1 /proc/net/tcp", "head -c1 /proc/meminfo"},
		"stackscope-worker": {
			"touch /var/lib/stackscope-worker/file", "dd if=/dev/kmsg of=/dev/null bs=8192 count=1", "head -c1 /proc/$ENGINE/environ", "ls /proc/$ENGINE/fd", "readlink /proc/$ENGINE/ns/net",
			"head -c1 /proc/1/mountinfo", "cat /home/models/secret", "head -c1 /dev/of-another-user",
		},
	}
)

// checkSandbox runs commands in the place of each program, with all that its unit sets. The engine's user owns a file in /home, and a
// device as Ascend's driver makes them.
func (m *machine) checkSandbox(t *testing.T) {
	t.Helper()
	m.sh(t, `install -d -o models /home/models; echo secret >/home/models/secret; chown models /home/models/secret; chmod 400 /home/models/secret
mknod -m 600 /dev/disk b 7 0; mknod -m 600 /dev/of-another-user c 1 5; chown models /dev/of-another-user`)
	engine := m.mainPID(t, "engine")
	for _, unit := range units {
		var script strings.Builder
		script.WriteString("#!/bin/bash\nENGINE=" + engine + "\n")
		for _, line := range forbidden[unit] {
			script.WriteString("if ( " + line + " ) >/dev/null 2>&1; then echo 'must not succeed: " + line + "'; fi\n")
		}
		for _, line := range allowed[unit] {
			script.WriteString("if ! out=$( ( " + line + " ) 2>&1 >/dev/null); then echo 'must succeed: " + line + `'": $out"; fi` + "\n")
		}
		script.WriteString("echo done\n")
		m.write(t, "/usr/local/bin/probe", script.String(), 0o755)
		probe := unit + "-probe"
		m.sh(t, `sed -e 's|^ExecStart=.*|ExecStart=/usr/local/bin/probe|; s|^Type=.*|Type=oneshot|; s|^Restart=.*||; s|^WatchdogSec=.*||' `+
			"/usr/lib/systemd/system/"+unit+".service >/run/systemd/system/"+probe+".service; systemctl daemon-reload; systemctl start "+probe)
		m.run(t, "journalctl", "--sync")
		out := m.run(t, "journalctl", "--no-pager", "-o", "cat", "-u", probe, "-t", "probe")
		if out = strings.TrimSpace(out); out != "done" {
			t.Errorf("below the unit of %s:\n%s", unit, out)
		}
	}
	m.sh(t, "rm -f /run/systemd/system/*-probe.service; systemctl daemon-reload")
}
