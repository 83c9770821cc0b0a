package store_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/store"
)

// unsyncedRole is a server on a disk that fails to sync.
const unsyncedRole = "unsynced"

// What hands out numbers is on the disk when it returns, and what is written every minute doesn't wait for the disk. Whether a
// write was synced shows where syncing fails.
func TestWhatIsSyncedToTheDisk(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+unsyncedRole, dirEnv+"="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if reason, ok := strings.CutPrefix(string(out), "skip: "); ok {
		t.Skip("the system refuses the filter that makes syncing fail: ", reason)
	}
	want := `inventory: stored
ids: refused
inventory: stored
generation: refused
inventory: stored
`
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func playUnsynced(ctx context.Context, s *store.Store) error {
	if err := failSyncs(); err != nil {
		fmt.Println("skip:", err)
		return nil
	}
	say := func(what string, err error) {
		verdict := "stored"
		if err != nil {
			verdict = "refused"
		}
		fmt.Printf("%s: %s\n", what, verdict)
	}
	say("inventory", s.Apply(ctx, &sampleChanges))
	_, err := s.NewIDs(ctx, fleet.IDs{Workers: 1})
	say("ids", err)
	say("inventory", s.Apply(ctx, &fleet.Changes{Heartbeats: sampleChanges.Heartbeats}))
	_, err = s.AppendGeneration(ctx, []byte("{}"), day)
	say("generation", err)
	say("inventory", s.Apply(ctx, &fleet.Changes{RemovedInstances: []int64{5}}))
	return nil
}

// failSyncs makes fsync and fdatasync fail in this process from now on.
func failSyncs() error {
	const (
		setNoNewPrivileges = 38 // of prctl
		setModeFilter      = 1  // of seccomp
		allThreads         = 1
		loadWord           = 0x20 // BPF_LD | BPF_W | BPF_ABS
		jumpIfEqual        = 0x15 // BPF_JMP | BPF_JEQ | BPF_K
		answer             = 0x06 // BPF_RET | BPF_K
		allow              = 0x7fff0000
		fail               = 0x00050000
	)
	seccomp, ok := map[string]uintptr{"amd64": 317, "arm64": 277}[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("the number of seccomp on %s isn't known here", runtime.GOARCH)
	}
	program := []syscall.SockFilter{
		{Code: loadWord, K: 0}, // the call's number
		{Code: jumpIfEqual, K: syscall.SYS_FSYNC, Jt: 2},
		{Code: jumpIfEqual, K: syscall.SYS_FDATASYNC, Jt: 1},
		{Code: answer, K: allow},
		{Code: answer, K: fail | uint32(syscall.EIO)},
	}
	filter := syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	runtime.LockOSThread() // the first call is for the thread that makes the second
	defer runtime.UnlockOSThread()
	if _, _, errno := syscall.Syscall6(syscall.SYS_PRCTL, setNoNewPrivileges, 1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.Syscall(seccomp, setModeFilter, allThreads, uintptr(unsafe.Pointer(&filter))); errno != 0 {
		return errno
	}
	return nil
}
