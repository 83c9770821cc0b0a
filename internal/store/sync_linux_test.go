package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/store"
)

// Servers on a disk that fails to sync, and on a full one.
const (
	unsyncedRole = "unsynced"
	fullRole     = "full"
	laggingRole  = "lagging"
)

// What somebody waits for is on the disk when it returns, and what is written every minute doesn't wait for the disk. Whether a
// write was synced shows where syncing fails.
func TestWhatIsSyncedToTheDisk(t *testing.T) {
	want := `inventory: refused
ids: refused
heartbeats: stored
generation: refused
inventory: refused
given up: refused
heartbeats: stored
`
	if diff := cmp.Diff(want, played(t, unsyncedRole)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFullDiskIsNamed(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(played(t, fullRole)), "\n")
	if len(lines) != 3 {
		t.Errorf("got %q", lines)
	}
	for _, line := range lines {
		wantError(t, errors.New(line), store.FileName, "no space is left", "free space on that disk")
	}
}

// A log that cannot be written into the file is told once, and nothing that is stored is lost by it.
func TestFailingCheckpointIsToldOnce(t *testing.T) {
	printed := played(t, laggingRole)
	if n := strings.Count(printed, "level=WARN"); n != 1 || !strings.Contains(printed, "cannot be written into its file") || !strings.Contains(printed, "no space is left") {
		t.Errorf("%d warnings:\n%s", n, printed)
	}
	if !strings.HasSuffix(printed, "there are 2 workers\n") {
		t.Errorf("in the end:\n%s", printed)
	}
}

func playLagging(ctx context.Context, s *store.Store) error {
	if err := s.Apply(ctx, &sampleChanges); err != nil {
		return err
	}
	if err := fail(syscall.ENOSPC, syscall.SYS_PWRITE64); err != nil {
		fmt.Println("skip:", err)
		return nil
	}
	for range 3 {
		store.Checkpoint(s, ctx)
	}
	r, err := s.Load(ctx)
	fmt.Printf("there are %d workers\n", len(r.Workers))
	return err
}

// played returns what a server in the role prints.
func played(t *testing.T, role string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+role, dirEnv+"="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, reason, ok := strings.Cut(string(out), "skip: "); ok {
		t.Skip("the system refuses the filter that makes calls fail: ", reason)
	}
	return string(out)
}

func playFull(ctx context.Context, s *store.Store) error {
	if err := fail(syscall.ENOSPC, syscall.SYS_PWRITE64); err != nil {
		fmt.Println("skip:", err)
		return nil
	}
	fmt.Println(s.Apply(ctx, &sampleChanges))
	_, err := s.NewIDs(ctx, fleet.IDs{Workers: 1})
	fmt.Println(err)
	_, err = s.AppendGeneration(ctx, nil, day, store.Note{})
	fmt.Println(err)
	return nil
}

func playUnsynced(ctx context.Context, s *store.Store, dir string) error {
	if err := s.Apply(ctx, &sampleChanges); err != nil { // heartbeats are of workers that are stored
		return err
	}
	beat := func(generation int64) *fleet.Changes {
		h := sampleChanges.Heartbeats[0]
		h.AppliedGeneration = generation
		return &fleet.Changes{Heartbeats: []fleet.Heartbeat{h}}
	}
	if err := fail(syscall.EIO, syscall.SYS_FSYNC, syscall.SYS_FDATASYNC); err != nil {
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
	say("heartbeats", s.Apply(ctx, beat(1001)))
	_, err = s.AppendGeneration(ctx, []byte("{}"), day, store.Note{})
	say("generation", err)
	say("inventory", s.Apply(ctx, &fleet.Changes{RemovedInstances: []int64{5}}))

	// Somebody else's transaction keeps ids waiting until nobody wants them any more.
	db, err := sql.Open("sqlite", filepath.Join(dir, store.FileName)+"?_txlock=exclusive")
	if err != nil {
		return err
	}
	other, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	_, err = s.NewIDs(short, fleet.IDs{Workers: 1})
	say("given up", err)
	if err := errors.Join(other.Rollback(), db.Close()); err != nil {
		return err
	}
	say("heartbeats", s.Apply(ctx, beat(1002)))
	return nil
}

// fail makes system calls fail in this process from now on.
func fail(errno syscall.Errno, calls ...uint32) error {
	const (
		setNoNewPrivileges = 38 // of prctl
		setModeFilter      = 1  // of seccomp
		allThreads         = 1
		loadWord           = 0x20 // BPF_LD | BPF_W | BPF_ABS
		jumpIfEqual        = 0x15 // BPF_JMP | BPF_JEQ | BPF_K
		answer             = 0x06 // BPF_RET | BPF_K
		allow              = 0x7fff0000
		failWith           = 0x00050000
	)
	seccomp, ok := map[string]uintptr{"amd64": 317, "arm64": 277}[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("the number of seccomp on %s isn't known here", runtime.GOARCH)
	}
	program := []syscall.SockFilter{{Code: loadWord, K: 0}} // the call's number
	for i, call := range calls {
		program = append(program, syscall.SockFilter{Code: jumpIfEqual, K: call, Jt: uint8(len(calls) - i)})
	}
	program = append(program, syscall.SockFilter{Code: answer, K: allow}, syscall.SockFilter{Code: answer, K: failWith | uint32(errno)})
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
