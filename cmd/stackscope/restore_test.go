package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/backup"
	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/restore"
)

// "nothing was put in place" is said of an interruption alone that came before.
func TestInterruptedRestore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, e := &restoreCmd{File: "b.tar"}, &command.Env{Context: ctx}
	if err := c.failed(e, context.Canceled, false); !strings.Contains(err.Error(), "nothing was put in place") {
		t.Error(err)
	}
	full := errors.New("no space left; the backup is not complete")
	if err := c.failed(e, full, true); !errors.Is(err, full) || strings.Contains(err.Error(), "nothing") {
		t.Error(err)
	}
}

// A number that the system would cut or take for "no change" gives the files to somebody else.
func TestOwnerNumbers(t *testing.T) {
	if o, err := lookUpOwner("4321:4322"); err != nil || o.UID != 4321 || o.GID != 4322 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, text := range []string{"5000000000:1", "4294967295:1", "1:4294967295", "1:4294967296", "-1:1", ":", "4321:", "+5:5"} {
		if o, err := lookUpOwner(text); err == nil {
			t.Errorf("%s is taken for %+v", text, o)
		}
	}
}

// The command that is said to come next is the one whose data was restored.
func TestRestoredStarts(t *testing.T) {
	for _, tt := range []struct{ file, want string }{
		{"worker/worker.json", "or stackscope start --data-dir /d\n"},
		{"worker.json", "or stackscope server --data-dir /d\n"}, // of a worker beside the server
	} {
		var out bytes.Buffer
		r := &restore.Result{Dir: "/d", Manifest: &backup.Manifest{Files: []backup.File{{Name: tt.file}}}}
		if err := new(restoreCmd).sayRestored(&command.Env{Stdout: &out}, r, 0); err != nil || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%s: %v, %s; want %q", tt.file, err, out.String(), tt.want)
		}
	}
}
