package access

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// checkKey makes the test program a worker that prints what it lacks. Its value is the root of the machine.
const checkKey = "STACKSCOPE_TEST_ACCESS"

func TestMain(m *testing.M) {
	root := os.Getenv(checkKey)
	if root == "" {
		os.Exit(m.Run())
	}
	for _, m := range New(realOptions(root)).Check() {
		_, _ = os.Stdout.WriteString(m.ID + "\n")
		_, _ = os.Stderr.WriteString(m.ID + ": " + m.Seen + "\n")
	}
}

// realOptions are those of a worker with a GPU whose errors only the kernel log has.
func realOptions(root string) Options {
	return Options{
		Root: root, Processes: true,
		GPUs: func() (read, known []string, ok bool) { return []string{"amd"}, []string{"amd"}, true },
		KernelLog: func() (ok bool, err error) {
			f, err := os.OpenFile("/dev/kmsg", os.O_RDONLY|syscall.O_NONBLOCK, 0)
			if err == nil {
				_ = f.Close()
			}
			return true, err
		},
		InHostNetwork: func() bool {
			one, err1 := os.Stat(filepath.Join(root, "proc/1/net/tcp"))
			own, err2 := os.Stat("/proc/self/net/tcp")
			return err1 != nil || err2 != nil || os.SameFile(one, own)
		},
	}
}

// program copies the test program to where every user may run it.
func program(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("other users, capabilities and namespaces need root")
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "worker")
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// tool skips the test where a program is missing.
func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
}

// lacks returns what the worker lacks that a command starts.
func lacks(t *testing.T, root string, command ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env = append(os.Environ(), checkKey+"="+root)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v", command, err)
	}
	return strings.Fields(string(out))
}

// as returns the command that runs a program as a user with only some capabilities.
func as(uid int, capabilities []string, command ...string) []string {
	list := strings.Join(append([]string{"-all"}, capabilities...), ",+")
	id := strconv.Itoa(uid)
	args := []string{"setpriv", "--reuid=" + id, "--regid=" + id, "--clear-groups", "--inh-caps=" + list, "--bounding-set=" + list}
	if uid != 0 {
		args = append(args, "--ambient-caps="+list)
	}
	return append(args, command...)
}

// ofUser starts a process of another user, who is neither root nor the worker's.
func ofUser(t *testing.T, uid uint32) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	name := "/proc/" + strconv.Itoa(cmd.Process.Pid) + "/comm"
	for range 100 { // between fork and exec it is root's
		if text, _ := os.ReadFile(name); strings.TrimSpace(string(text)) == "sleep" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("sleep does not start")
}

const (
	nobody  = 65534
	another = 54321
)

// restricted reports whether the kernel lets only CAP_SYSLOG read its log.
func restricted() bool {
	text, err := os.ReadFile("/proc/sys/kernel/dmesg_restrict")
	return err == nil && strings.TrimSpace(string(text)) == "1"
}

// onMachine skips the test in a container, which lacks things by itself.
func onMachine(t *testing.T) {
	t.Helper()
	if got := lacks(t, "/", program(t)); len(got) > 0 {
		t.Skipf("root lacks %q here", got)
	}
}

// holding skips the test where root itself lacks one of the capabilities that the tests hand on.
func holding(t *testing.T) {
	t.Helper()
	const dacReadSearch, sysPtrace, syslog = 1 << 2, 1 << 19, 1 << 34
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\nCapEff:")
	line, _, _ := strings.Cut(after, "\n")
	has, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	if has&(dacReadSearch|sysPtrace|syslog) != dacReadSearch|sysPtrace|syslog {
		t.Skipf("root has only the capabilities %x here", has)
	}
}

// TestCapabilities holds the table of docs/hardening.md: each row is what is missing without one capability.
func TestCapabilities(t *testing.T) {
	tool(t, "setpriv")
	worker := program(t)
	holding(t)
	onMachine(t)
	ofUser(t, another)
	if !restricted() {
		t.Log("dmesg_restrict is 0: the kernel log needs no capability here")
	}
	all := []string{"sys_ptrace", "dac_read_search", "syslog"}
	without := func(name string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(c string) bool { return c == name })
	}
	for _, tt := range []struct {
		name string
		have []string
		want []string
	}{
		{"all three", all, nil},
		{"without CAP_SYS_PTRACE", without("sys_ptrace"), []string{"process_details"}},
		{"without CAP_DAC_READ_SEARCH", without("dac_read_search"), []string{"process_files"}},
		{"without CAP_SYSLOG", without("syslog"), []string{"kernel_log"}},
		{"none", nil, []string{"process_details", "kernel_log"}},
	} {
		want := tt.want
		if !restricted() {
			want = slices.DeleteFunc(slices.Clone(want), func(id string) bool { return id == "kernel_log" })
		}
		for user, uid := range map[string]int{"root": 0, "nobody": nobody} {
			want := want
			if info, err := os.Stat("/dev/kmsg"); err == nil && info.Mode()&0o004 == 0 && uid != 0 && !slices.Contains(tt.have, "dac_read_search") && !slices.Contains(want, "kernel_log") {
				want = append(slices.Clone(want), "kernel_log") // its file is root's alone here
			}
			t.Run(tt.name+", "+user, func(t *testing.T) {
				got := lacks(t, "/", as(uid, tt.have, worker)...)
				if !slices.Equal(got, want) {
					t.Errorf("it lacks %q, want %q", got, want)
				}
			})
		}
	}
}

// TestHiddenProcesses: /proc with hidepid, and ProtectProc= of systemd, hide other users' processes.
func TestHiddenProcesses(t *testing.T) {
	tool(t, "setpriv")
	tool(t, "unshare")
	worker := program(t)
	holding(t)
	onMachine(t)
	mounted := func(option string, command []string) []string {
		return append([]string{"unshare", "--mount", "sh", "-c", `mount -t proc -o "$0" proc /proc && exec "$@"`, option}, command...)
	}
	for _, hide := range []string{"hidepid=invisible", "hidepid=noaccess", "hidepid=2"} {
		if err := exec.CommandContext(t.Context(), "unshare", mounted(hide, []string{"true"})[1:]...).Run(); err != nil {
			t.Logf("%s cannot be mounted here: %v", hide, err)
			continue
		}
		got := lacks(t, "/", mounted(hide, as(nobody, []string{"syslog"}, worker))...)
		if !slices.Contains(got, "hidden_processes") {
			t.Errorf("%s: it lacks %q, want hidden_processes", hide, got)
		}
		got = lacks(t, "/", mounted(hide, as(nobody, []string{"syslog", "sys_ptrace", "dac_read_search"}, worker))...)
		if len(got) != 0 {
			t.Errorf("%s with CAP_SYS_PTRACE: it lacks %q", hide, got)
		}
	}
}

// TestContainer makes what a container without options of its own is: namespaces, and another root.
func TestContainer(t *testing.T) {
	tool(t, "unshare")
	worker := program(t)
	onMachine(t)
	base := t.TempDir()
	for _, dir := range []string{"up", "merged"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The root is an overlay, on a tmpfs of its own because an overlay cannot be the upper folder of another.
	const overlay = `mount -t tmpfs tmpfs "$0/up" && mkdir "$0/up/work" "$0/up/upper" "$0/up/host" && ` +
		`mount -t overlay -o "lowerdir=/,upperdir=$0/up/upper,workdir=$0/up/work" overlay "$0/merged" && mkdir -p "$0/merged/host" && `
	sh := func(flags, script string) []string {
		args := append([]string{"unshare"}, strings.Fields(flags)...)
		return append(args, "sh", "-c", script, base, worker)
	}
	const enter = `exec chroot "$0/merged" "$1"`
	const all = "--mount --pid --net --fork"
	const fresh = `mount -t proc proc "$0/merged/proc" && mount -t sysfs sysfs "$0/merged/sys" && mount --rbind /dev "$0/merged/dev" && `
	const shared = `mount --rbind /proc "$0/merged/proc" && mount --rbind /sys "$0/merged/sys" && mount --rbind /dev "$0/merged/dev" && `
	for _, tt := range []struct {
		name, root string
		command    []string
		want       []string
	}{
		{"namespaces", "/", sh(all, `mount -t proc proc /proc && mount -t sysfs sysfs /sys && exec "$1"`), []string{"pid_namespace", "network_namespace"}},
		{"container", "/", sh(all, overlay+fresh+enter), []string{"pid_namespace", "host_root", "network_namespace"}},
		{"pid: host", "/", sh("--mount --net", overlay+shared+enter), []string{"host_root", "network_namespace"}},
		{"pid: host, network_mode: host", "/", sh("--mount", overlay+shared+enter), []string{"host_root"}},
		{"with --host-root", "/host", sh("--mount", overlay+shared+`mount --rbind / "$0/merged/host" && `+enter), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			probe := slices.Clone(tt.command)
			probe[len(probe)-1] = "/bin/true"
			cmd := exec.CommandContext(t.Context(), probe[0], probe[1:]...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Skipf("it cannot be made here: %v: %s", err, out)
			}
			if got := lacks(t, tt.root, tt.command...); !slices.Equal(got, tt.want) {
				t.Errorf("it lacks %q, want %q", got, tt.want)
			}
		})
	}
}

// TestOrdinaryUser: who has no capability lacks what is other users', and nothing else.
func TestOrdinaryUser(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("this is root; TestCapabilities runs a worker as another user")
	}
	o := realOptions("/")
	o.GPUs, o.KernelLog = nil, nil
	var ids []string
	for _, m := range New(o).Check() {
		ids = append(ids, m.ID)
	}
	for _, id := range ids {
		if !slices.Contains([]string{"process_details", "hidden_processes", "pid_namespace", "host_root", "network_namespace"}, id) {
			t.Errorf("it lacks %q", id)
		}
	}
}

// TestDeviceFiles: whether a device file may be used is asked with the capabilities that the worker has, without opening it.
func TestDeviceFiles(t *testing.T) {
	if err := mayUse(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
	path := filepath.Join(t.TempDir(), "nvidia0")
	if err := os.WriteFile(path, nil, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := mayUse(path); os.Getuid() != 0 && !denied(err) || os.Getuid() == 0 && err != nil {
		t.Errorf("a file that may only be read, as user %d: %v", os.Getuid(), err)
	}
}
