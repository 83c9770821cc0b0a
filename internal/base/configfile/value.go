package configfile

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// try decodes n as flag's value and throws the result away.
func try(flag *kong.Flag, n *yaml.Node) error {
	value, err := convert(flag, n)
	if err != nil || value == nil {
		return err
	}
	if s, ok := value.(string); ok && flag.Enum != "" && !slices.Contains(flag.EnumSlice(), s) {
		return fmt.Errorf("got %q, want one of %s", s, strings.Join(flag.EnumSlice(), ", "))
	}
	target := reflect.New(flag.Target.Type()).Elem()
	scan := kong.Scan().PushTyped(value, kong.FlagValueToken)
	return flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, target)
}

// convert turns a YAML value into what kong decodes for flag. Scalars keep their spelling, so that 007 stays 007 where a
// text is wanted. A null is no value.
func convert(flag *kong.Flag, n *yaml.Node) (any, error) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil, nil
	}
	switch t := flag.Target.Type(); t.Kind() {
	case reflect.Slice:
		return list(n)
	case reflect.Map:
		return mapping(n)
	case reflect.Bool:
		var b bool
		if n.Kind != yaml.ScalarNode || n.Decode(&b) != nil {
			return nil, fmt.Errorf("got %s, want true or false", kindOf(n))
		}
		return b, nil
	default:
		if n.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("got %s, want one value", kindOf(n))
		}
		if t == reflect.TypeFor[time.Duration]() && n.Tag == "!!int" && n.Value != "0" {
			return nil, fmt.Errorf("got %s, want a time with its unit, as in 30s or 12h", n.Value)
		}
		return n.Value, nil
	}
}

// list accepts a list of values, of mappings (each becomes a=b,c=d, as the flag would be written), or one value.
func list(n *yaml.Node) (any, error) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	values := make([]any, 0, len(items))
	for i, item := range items {
		switch item = follow(item); item.Kind {
		case yaml.ScalarNode:
			values = append(values, item.Value)
		case yaml.MappingNode:
			s, err := inline(item)
			if err != nil {
				return nil, fmt.Errorf("entry %d on line %d: %w", i+1, item.Line, err)
			}
			values = append(values, s)
		default:
			return nil, fmt.Errorf("entry %d on line %d: got %s, want one value or keys with values", i+1, item.Line, kindOf(item))
		}
	}
	return values, nil
}

func mapping(n *yaml.Node) (any, error) {
	if n.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("got %s, want keys with values", kindOf(n))
	}
	m := map[string]any{}
	for k, v := range pairs(n) {
		if v.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("%s on line %d: got %s, want one value", k.Value, v.Line, kindOf(v))
		}
		if _, ok := m[k.Value]; ok {
			return nil, fmt.Errorf("%s on line %d: stands here twice", k.Value, k.Line)
		}
		m[k.Value] = v.Value
	}
	return m, nil
}

// inline writes a mapping as a=b,c=d; commas and backslashes within values are escaped with a backslash.
func inline(n *yaml.Node) (string, error) {
	var parts []string
	m, err := mapping(n)
	if err != nil {
		return "", err
	}
	values, ok := m.(map[string]any)
	if !ok {
		return "", errors.New("want keys with values")
	}
	escape := strings.NewReplacer(`\`, `\\`, `,`, `\,`)
	for _, k := range slices.Sorted(maps.Keys(values)) {
		parts = append(parts, fmt.Sprintf("%s=%s", k, escape.Replace(values[k].(string))))
	}
	return strings.Join(parts, ","), nil
}

func pairs(n *yaml.Node) func(yield func(k, v *yaml.Node) bool) {
	return func(yield func(k, v *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], follow(n.Content[i+1])) {
				return
			}
		}
	}
}

// follow resolves an alias.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q", n.Value)
}
