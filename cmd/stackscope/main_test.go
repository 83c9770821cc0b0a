package main

import (
	"net"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stackscope/stackscope/internal/base/command/helptest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stackscope": main})
}

func TestScripts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() }) // not deferred: the scripts run in parallel, after this function
	_, takenPort, _ := net.SplitHostPort(taken.Addr().String())
	manager := helptest.NewManager(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("TAKEN_PORT", takenPort)
			env.Setenv("MANAGER", manager.Address)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"notified": manager.Notified},
	})
}
