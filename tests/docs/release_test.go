package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const repository = "https://github.com/stackscope/stackscope.git"

// release makes a repository with releases of this tree and returns settings of git that have it in the place of the public
// one. The newest tag is a pre-release, which the page's command passes over.
func release(t *testing.T) []string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "stackscope.git")
	if err := os.CopyFS(filepath.Join(dir, "docker-compose"), os.DirFS(filepath.Join("..", "..", "docker-compose"))); err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=test", "-c", "user.email=test@example.com"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "--quiet", "--initial-branch=main")
	git("add", ".")
	git("commit", "--quiet", "--message", "a release")
	for _, tag := range []string{"v0.1.0", "v0.9.0", "v0.10.0", "v0.11.0-rc1"} {
		git("tag", tag)
	}
	return []string{"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url." + dir + ".insteadOf", "GIT_CONFIG_VALUE_0=" + repository, "GIT_CONFIG_GLOBAL=/dev/null"}
}

// docker puts a docker before the system's that starts nothing. It reads compose files with Docker's own plugin and says what
// `up` would start; of containers it knows the names and the files in the guide's folder of containers.
func (g *guide) docker() {
	g.t.Helper()
	out, err := exec.CommandContext(g.t.Context(), filepath.Join("..", "compose", "build-plugin")).Output()
	if err != nil {
		g.t.Fatalf("tests/compose/build-plugin: %v", err)
	}
	g.containers = g.t.TempDir()
	g.shim("docker", `plugin='`+strings.TrimSpace(string(out))+`' containers='`+g.containers+`'
unknown() { echo "docker $*: the test's docker does not know that" >&2; exit 1; }
case $1 in
compose)
	shift
	files=
	while [ "$1" = -f ]; do files="$files -f $2"; shift 2; done
	[ "$*" = "up -d" ] || [ "$*" = "up -d --build" ] || unknown compose "$@"
	services=$($plugin $files config --services) && $plugin $files config --quiet || exit
	echo "would up: $(echo "$services" | sort | tr '\n' ' ')" ;;
run)
	shift
	while :; do
		case $1 in
		-d | --rm | --init | --read-only) shift ;;
		--name | -p | -v | --tmpfs | --cap-drop | --cap-add | --security-opt | --user | --network | --pid | --device) shift 2 ;;
		-*) unknown run "$@" ;;
		*) break ;;
		esac
	done
	echo "would run: $*" ;;
exec)
	shift
	echo "would run in: $*" ;;
start | stop)
	[ $# = 2 ] && [ -d "$containers/$2" ] || unknown "$@"
	echo "$2" ;;
cp)
	[ $# = 3 ] && [ "${2%%:*}" != "$2" ] || unknown "$@"
	cp -a "$containers/${2%%:*}${2#*:}" "$3" ;;
*) unknown "$@" ;;
esac`)
}

// prometheusDir returns the folder of a real Prometheus and promtool.
func prometheusDir(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join("..", "..", "hack", "build-prometheus")).Output()
	if err != nil {
		t.Fatalf("hack/build-prometheus: %v", err)
	}
	lines := strings.Fields(string(out))
	return lines[len(lines)-1]
}
