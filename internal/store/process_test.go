package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/store"
)

// The tests of this file need other processes. They start this test binary again with a role in the environment.
const (
	roleEnv = "STACKSCOPE_STORE_TEST_ROLE"
	dirEnv  = "STACKSCOPE_STORE_TEST_DIR"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		if err := play(role, os.Getenv(dirEnv)); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func play(role, dir string) error {
	ctx := context.Background()
	if role == "shell" { // holds a transaction open, as somebody at a sqlite3 prompt may
		db, err := sql.Open("sqlite", filepath.Join(dir, store.FileName)+"?_txlock=exclusive")
		if err != nil {
			return err
		}
		if _, err := db.BeginTx(ctx, nil); err != nil {
			return err
		}
		fmt.Println("ready")
		_, err = io.Copy(io.Discard, os.Stdin)
		return err
	}
	o := store.Options{Dir: dir}
	if role == laggingRole {
		o.Logger = slog.New(slog.NewTextHandler(os.Stdout, nil))
	}
	s, err := store.Open(ctx, o)
	if err != nil {
		return err
	}
	if role == "server" {
		if err := s.Apply(ctx, &sampleChanges); err != nil {
			return err
		}
	}
	switch role {
	case unsyncedRole:
		return playUnsynced(ctx, s, dir)
	case fullRole:
		return playFull(ctx, s)
	case laggingRole:
		return playLagging(ctx, s)
	}
	fmt.Println("ready")
	if role == "poster" {
		for {
			g, err := s.AppendGeneration(ctx, []byte("{}"), time.Now(), store.Note{})
			if err != nil {
				return err
			}
			fmt.Println(g.Number)
		}
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// start starts another process in a role and waits until it says that it is ready.
func start(t *testing.T, role, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+role, dirEnv+"="+dir)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("%s: %q", role, lines.Text())
	}
	return cmd, lines
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func TestSecondServerOnTheDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	// What a server of before has left says nothing about the one that runs.
	if err := os.WriteFile(filepath.Join(dir, "stackscope.lock"), []byte("1234567890123456\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, _ := start(t, "server", dir)
	_, err := store.Open(t.Context(), store.Options{Dir: dir})
	wantError(t, err, dir, "locked by another process", "(pid "+strconv.Itoa(cmd.Process.Pid)+")", "--data-dir")
	kill(cmd)
	open(t, dir) // a killed server leaves no lock behind
}

func TestForeignTransactionIsNamed(t *testing.T) {
	dir := t.TempDir()
	closed(t, open(t, dir))
	cmd, _ := start(t, "shell", dir)
	s, err := store.Open(t.Context(), store.Options{Dir: dir, BusyTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err) // readers are not in a writer's way
	}
	t.Cleanup(func() { _ = s.Close() })
	wantError(t, s.Apply(t.Context(), &sampleChanges), store.FileName, "another process has locked it", "sqlite3 shell")
	kill(cmd)
	apply(t, s, sampleChanges)
}

func TestAcknowledgedGenerationsSurviveKill(t *testing.T) {
	dir := t.TempDir()
	cmd, lines := start(t, "poster", dir)
	last := ""
	for range 25 {
		if !lines.Scan() {
			t.Fatal("the poster ended:", last)
		}
		last = lines.Text()
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // what it had said before it died
		last = lines.Text()
	}
	_ = cmd.Wait()
	want, err := strconv.ParseInt(last, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	g, ok, err := open(t, dir).LatestGeneration(t.Context())
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if g.Number < want || g.Number > want+1 {
		t.Errorf("latest generation after kill = %d, the last one acknowledged was %d", g.Number, want)
	}
}

// A copy of the files of a running server, database and log, is what a snapshot of the disk would hold after a crash.
func TestCopyOfAnOpenDatabaseOpens(t *testing.T) {
	dir, copied := t.TempDir(), t.TempDir()
	start(t, "server", dir)
	wal := false
	for _, name := range []string{store.FileName, store.FileName + "-wal"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		wal = wal || strings.HasSuffix(name, "-wal") && len(data) > 0
		if err := os.WriteFile(filepath.Join(copied, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !wal {
		t.Error("the log is empty: the copy shows nothing")
	}
	if diff := cmp.Diff(sample, load(t, open(t, copied))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUnwritableDirectoryIsNamed(t *testing.T) {
	dir := t.TempDir()
	if os.Geteuid() != 0 {
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		_, err := store.Open(t.Context(), store.Options{Dir: dir})
		wantError(t, err, dir, "cannot be written", "permission denied", "--data-dir")
		return
	}
	// Permissions do not bind root: somebody else must try, with a test binary that they may run.
	program := filepath.Join(t.TempDir(), "store.test")
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, data, 0o755); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Dir = "/"
	cmd.Env = []string{roleEnv + "=server", dirEnv + "=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.Output()
	if err == nil {
		t.Fatalf("an unwritable directory was accepted: %s", out)
	}
	if cmd.ProcessState == nil {
		t.Skipf("no process of another user can be started here: %v", err)
	}
	for _, want := range []string{dir, "cannot be written", "permission denied", "--data-dir"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("error lacks %q: %s", want, out)
		}
	}
}
