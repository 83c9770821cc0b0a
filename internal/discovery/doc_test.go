package discovery

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDocumentListsTheReasons(t *testing.T) {
	words := func(file, pattern string) (list []string) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
			list = append(list, string(m[1]))
		}
		return list
	}
	reasons := words("skips.go", `(?m)^\s+skip\w+ +skipReason = "(\w+)"`)
	if diff := cmp.Diff(reasons, words("../../docs/discovery.md", "(?m)^\\| `([a-z_]+)` \\| [^|\n]* \\|$")); diff != "" || len(reasons) == 0 {
		t.Errorf("docs/discovery.md: (-code +document)\n%s", diff)
	}
	for _, why := range reasons {
		if (advice(why) == "") != (why == skipDisabled) {
			t.Errorf("%s: advice %q", why, advice(why))
		}
	}
}
