package docs

import (
	"encoding/json"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/catalog"
)

// TestWordsOfMessages holds the banned words of the glossary out of log messages and errors.
func TestWordsOfMessages(t *testing.T) {
	f := newWordFinder(t)
	found := 0
	eachSource(t, func(name string, set *token.FileSet, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !isMessage(call) {
				return true
			}
			for _, arg := range call.Args {
				// A sentence has a space; keys of attributes have none.
				if text := constantText(arg); strings.Contains(text, " ") {
					found++
					f.find(name, set.Position(arg.Pos()).String(), text)
				}
			}
			return true
		})
	})
	if found < 500 {
		t.Errorf("only %d messages were seen", found)
	}
}

// isMessage says whether a call makes an error, logs, or prints for users.
func isMessage(call *ast.CallExpr) bool {
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	switch fun.Sel.Name {
	case "Debug", "Info", "Warn", "Error", "DebugContext", "InfoContext", "WarnContext", "ErrorContext", "Log", "Errorf":
		return true
	case "New", "Fprintf", "Fprintln", "Fprint":
		pkg, ok := fun.X.(*ast.Ident)
		return ok && (pkg.Name == "errors" || pkg.Name == "fmt")
	}
	return false
}

// constantText returns the string literals of an expression, joined.
func constantText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return text
		}
	case *ast.BinaryExpr:
		return constantText(e.X) + constantText(e.Y)
	}
	return ""
}

// TestWordsOfMetrics holds them out of the HELP texts.
func TestWordsOfMetrics(t *testing.T) {
	f := newWordFinder(t)
	for _, list := range [][]catalog.Metric{
		catalog.Runtime, catalog.RuntimeExtra, catalog.Gateway, catalog.WorkerNode, catalog.GPU, catalog.Instance, catalog.WorkerOwn, catalog.Server,
		catalog.ServerOwn, catalog.EmbeddedPrometheus,
	} {
		for _, m := range list {
			f.find("internal/catalog", m.Name, m.Help)
		}
	}
}

// TestWordsOfDashboards holds them out of what a dashboard shows in words.
func TestWordsOfDashboards(t *testing.T) {
	f := newWordFinder(t)
	files, err := filepath.Glob("../docker-compose/grafana/grafana_dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var dashboard any
		if err := json.Unmarshal(text, &dashboard); err != nil {
			t.Fatal(err)
		}
		f.findInJSON(filepath.Base(path), "", dashboard)
	}
}

// findInJSON looks at the titles, descriptions, legends and names that stand somewhere in a document.
func (f *wordFinder) findInJSON(file, key string, value any) {
	f.t.Helper()
	switch value := value.(type) {
	case map[string]any:
		for k, v := range value {
			f.findInJSON(file, k, v)
		}
	case []any:
		for _, v := range value {
			f.findInJSON(file, key, v)
		}
	case string:
		switch key {
		case "title", "description", "legendFormat", "displayName", "label", "content", "text":
			f.find(file, key, value)
		}
	}
}
