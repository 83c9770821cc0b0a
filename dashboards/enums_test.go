package dashboards

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const sdk = "github.com/grafana/grafana-foundation-sdk/go"

// enumValues are the values of the SDK's enumerations, by type. The SDK itself takes any.
var enumValues = sync.OnceValues(func() (map[string][]string, error) {
	dir, err := exec.Command("go", "list", "-f", "{{.Module.Dir}}", sdk+"/cog").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	root, values := strings.TrimSpace(string(dir)), map[string][]string{}
	for _, name := range []string{"common", "dashboard", "prometheus", "bargauge", "heatmap", "stat", "statetimeline", "table", "text", "timeseries"} {
		err := filepath.WalkDir(filepath.Join(root, name), func(file string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Base(file) != "types_gen.go" {
				return err
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, d := range parsed.Decls {
				collect(d, path.Join(sdk, name), values)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return values, nil
})

// collect adds the constants of a declaration that have a type of their own.
func collect(d ast.Decl, pkg string, values map[string][]string) {
	group, ok := d.(*ast.GenDecl)
	if !ok || group.Tok != token.CONST {
		return
	}
	for _, s := range group.Specs {
		spec := s.(*ast.ValueSpec)
		kind, ok := spec.Type.(*ast.Ident)
		if !ok || len(spec.Values) != 1 {
			continue
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
			value := literal.Value
			if text, err := strconv.Unquote(value); err == nil {
				value = text
			}
			name := pkg + "." + kind.Name
			values[name] = append(values[name], value)
		}
	}
}

// enumFaults returns the values below v that their enumeration doesn't have.
func enumFaults(t *testing.T, where string, v reflect.Value) (faults []string) {
	t.Helper()
	values, err := enumValues()
	if err != nil || len(values) < 20 {
		t.Fatalf("%d enumerations: %v", len(values), err)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return enumFaults(t, where, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				continue
			}
			faults = append(faults, enumFaults(t, where+"."+v.Type().Field(i).Name, v.Field(i))...)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			faults = append(faults, enumFaults(t, fmt.Sprintf("%s[%d]", where, i), v.Index(i))...)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			faults = append(faults, enumFaults(t, where+"."+key.String(), v.MapIndex(key))...)
		}
	default:
		known := values[v.Type().PkgPath()+"."+v.Type().Name()]
		if got := fmt.Sprint(v); len(known) > 0 && !slices.Contains(known, got) {
			return []string{fmt.Sprintf("%s: %q is none of %q", where, got, known)}
		}
	}
	return faults
}
