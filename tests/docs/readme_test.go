package docs_test

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/simgrafana"
)

// The README's commands begin with make, which has built the programs already where this test runs.
func TestReadme(t *testing.T) {
	needPrograms(t)
	g := newGuide(t, filepath.Join("..", "..", "README.md"), simgrafana.Home(t))
	g.shim("make", `case "$1" in
build) ln -sfn "`+g.bin+`" bin ;;
run) exec "`+g.bin+`/stackscope" demo ;; # as the Makefile does
*) exit 1 ;;
esac`)
	g.replace = strings.NewReplacer("https://github.com/stackscope/stackscope/releases/download", archives(t, g.bin), "linux_amd64", "linux_"+runtime.GOARCH)
	g.follow()
}
