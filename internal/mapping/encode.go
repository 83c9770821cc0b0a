package mapping

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// MarshalJSON writes the document in its author's order and form: a target that was a string stays a string.
func (d *Document) MarshalJSON() ([]byte, error) {
	if d == nil {
		return []byte("null"), nil
	}
	var b bytes.Buffer
	if err := appendJSON(&b, d.root); err != nil {
		return nil, fmt.Errorf("encode mapping document: %w", err)
	}
	return b.Bytes(), nil
}

func appendJSON(b *bytes.Buffer, n *node) error {
	switch n.kind {
	case kindObject:
		b.WriteByte('{')
		for i, m := range n.members {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := appendJSON(b, m.key); err != nil {
				return err
			}
			b.WriteByte(':')
			if err := appendJSON(b, m.value); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	case kindArray:
		b.WriteByte('[')
		for i, item := range n.items {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := appendJSON(b, item); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case kindString:
		enc := json.NewEncoder(b)
		enc.SetEscapeHTML(false) // keeps <0.11.1 readable
		if err := enc.Encode(n.text); err != nil {
			return err
		}
		b.Truncate(b.Len() - 1) // Encode's newline
	case kindNumber, kindBool:
		b.WriteString(n.text) // checked when the document was
	case kindNull: // of an overlay
		b.WriteString("null")
	default:
		return fmt.Errorf("a valid document holds no value like %s", n.what())
	}
	return nil
}

// EncodeYAML writes the document in its author's order and form, without comments.
func (d *Document) EncodeYAML() ([]byte, error) {
	if d == nil {
		return []byte("null\n"), nil
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(toYAML(d.root)); err != nil {
		return nil, fmt.Errorf("encode mapping document: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("encode mapping document: %w", err)
	}
	return b.Bytes(), nil
}

func toYAML(n *node) *yaml.Node {
	switch n.kind {
	case kindObject:
		y := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, m := range n.members {
			y.Content = append(y.Content, toYAML(m.key), toYAML(m.value))
		}
		return y
	case kindArray:
		y := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, item := range n.items {
			y.Content = append(y.Content, toYAML(item))
		}
		return y
	case kindNumber, kindBool:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: n.text}
	case kindNull: // of an overlay
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	default:
		y := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: n.text}
		if n.text == anyVersion {
			y.Style = yaml.DoubleQuotedStyle // as everybody writes it
		}
		return y
	}
}
