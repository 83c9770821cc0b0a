package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// hardeningTests says, for each row of the table of hardening.md by the words that it begins with, which test holds what the row says. Rows
// that begin with a parenthesis here have none, for the reason in it.
var hardeningTests = map[string]string{
	"[HTTPS from end to end]":                   "TestHTTPSPage",
	"`--token-file FILE`":                       "TestToken",
	"`--ca-file FILE`":                          "TestHTTPSPage",
	"`--web.config.file FILE`":                  "TestWebConfig",
	"`--disable-anonymous-viewer`":              "TestAccess",
	"`--grafana-admin-password`":                "TestObservabilityPage",
	"`GPUSTACK_PROMETHEUS_URL`":                 "TestPrometheusURL",
	"a user (`stackscope`)":                     "TestTokens",
	"`--no-trust-loopback`":                     "TestAccess",
	"no `--trust-loopback-root`":                "TestOnlyTheServersUserIsTrusted",
	"`GOMEMLIMIT`":                              "TestLimitIsTheSmallestBound",
	"`LimitNOFILE`":                             "TestServerWithoutFilesEvictsIdleConnections",
	"one worker per node":                       "(advice: what a worker sees without root is on other pages)",
	"the units of the packages":                 "(the tests of the packages install and score them)",
	"the images as they are":                    "(the tests of the compose files hold what these add)",
	"server and workers of [versions that fit]": "TestVersionsAreTold",
	"[backups]":                                 "TestUpgradeAndBack",
}

// TestHardeningRows: each row has a test that exists, or a reason.
func TestHardeningRows(t *testing.T) {
	text, err := os.ReadFile("hardening.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| step | reason |\n|---|---|\n")
	tests := testNames(t)
	rows := 0
	for line := range strings.Lines(table) {
		row, ok := strings.CutPrefix(line, "| ")
		if !ok {
			break
		}
		rows++
		found := ""
		for begin, test := range hardeningTests {
			if strings.HasPrefix(row, begin) {
				found = test
			}
		}
		switch {
		case found == "":
			t.Errorf("no test is named for the row %.60q", row)
		case strings.HasPrefix(found, "("):
		case !tests[found]:
			t.Errorf("the row %.60q names %s, which does not exist", row, found)
		}
	}
	if rows != len(hardeningTests) {
		t.Errorf("%d rows, %d tests are named", rows, len(hardeningTests))
	}
}

// testNames are the names of all tests of the repository.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	declaration := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	names := map[string]bool{}
	for _, root := range []string{"../internal", "../tests", "../cmd"} {
		if err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range declaration.FindAllSubmatch(text, -1) {
				names[string(m[1])] = true
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return names
}
