package mapping

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxYAMLMarks bounds the bytes that can begin a YAML value, and so the memory that the YAML parser can take before
// the tree's own bounds hold.
const maxYAMLMarks = 8 * maxNodes

// parseYAML reads a YAML document as a tree.
func parseYAML(data []byte) (*node, *Fault) {
	marks := 0
	for _, c := range data {
		switch c {
		case '\n', '\r', ',', '[', '{', ':', '-', '?':
			marks++
		}
	}
	if marks > maxYAMLMarks {
		return nil, &Fault{Detail: fmt.Sprintf("found a YAML document with more than %d lines and separators, allowed are %d", maxYAMLMarks, maxYAMLMarks)}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, emptyFault()
	} else if err != nil {
		return nil, yamlFault(err)
	}
	var next yaml.Node
	if err := dec.Decode(&next); err == nil {
		return nil, &Fault{Detail: "found a second YAML document, allowed is one", Line: next.Line}
	} else if !errors.Is(err, io.EOF) {
		return nil, yamlFault(err)
	}
	if len(doc.Content) != 1 {
		return nil, emptyFault()
	}
	var b budget
	root, fault := fromYAML(doc.Content[0], &b, 0)
	if fault == nil {
		root.empty = root.kind == kindNull && root.text == ""
	}
	return root, fault
}

var yamlLine = regexp.MustCompile(`^line ([0-9]+): `)

// yamlFault describes a syntax error. The library's message begins with the line.
func yamlFault(err error) *Fault {
	fault := Fault{}
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		fault.Line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	text = strings.Join(strings.Fields(text), " ")
	if strings.Contains(text, "did not find expected alphabetic or numeric character") {
		text += ` (a * must be quoted: "*")`
	}
	fault.Detail = "found no valid YAML: " + shorten(text)
	return &fault
}

func fromYAML(y *yaml.Node, b *budget, depth int) (*node, *Fault) {
	if fault := b.take(depth); fault != nil {
		return nil, fault
	}
	n := &node{line: y.Line, seq: b.nodes}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = kindObject
		if tag := y.ShortTag(); tag != "!!map" {
			n.kind, n.tag = kindTagged, tag
			return n, nil
		}
		for i := 0; i+1 < len(y.Content); i += 2 {
			key, fault := fromYAML(y.Content[i], b, depth+1)
			if fault != nil {
				return nil, fault
			}
			value, fault := fromYAML(y.Content[i+1], b, depth+1)
			if fault != nil {
				return nil, fault
			}
			n.members = append(n.members, member{key: key, value: value})
		}
	case yaml.SequenceNode:
		n.kind = kindArray
		if tag := y.ShortTag(); tag != "!!seq" {
			n.kind, n.tag = kindTagged, tag
			return n, nil
		}
		for _, item := range y.Content {
			child, fault := fromYAML(item, b, depth+1)
			if fault != nil {
				return nil, fault
			}
			n.items = append(n.items, child)
		}
	case yaml.AliasNode:
		n.kind, n.text = kindAlias, y.Value
	default:
		n.text = y.Value
		switch tag := y.ShortTag(); tag {
		case "!!str":
			n.kind = kindString
		case "!!int", "!!float":
			n.kind = kindNumber
		case "!!bool":
			n.kind = kindBool
		case "!!null":
			n.kind = kindNull
		default:
			n.kind, n.tag = kindTagged, tag
		}
	}
	return n, nil
}
