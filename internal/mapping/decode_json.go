package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// parseJSON reads a JSON document as a tree.
func parseJSON(data []byte) (*node, *Fault) {
	// The token stream below does not see trailing data and knows less about a syntax error's place than this.
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		return nil, jsonFault(data, err)
	}
	p := jsonParser{dec: json.NewDecoder(bytes.NewReader(data)), data: data}
	p.dec.UseNumber()
	return p.value(0)
}

// jsonFault describes a syntax error by line and column.
func jsonFault(data []byte, err error) *Fault {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return &Fault{Detail: "found no valid JSON: " + err.Error()}
	}
	line, column := position(data, int(syntax.Offset)-1)
	return &Fault{Detail: fmt.Sprintf("found no valid JSON at line %d, column %d: %s", line, column, syntax.Error())}
}

// position returns the 1-based line and column (in characters) of a byte offset.
func position(data []byte, offset int) (line, column int) {
	before := data[:max(0, min(offset, len(data)))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte{'\n'}) + 1, utf8.RuneCount(before[start:]) + 1
}

type jsonParser struct {
	dec    *json.Decoder
	data   []byte
	budget budget
}

func (p *jsonParser) value(depth int) (*node, *Fault) {
	if fault := p.budget.take(depth); fault != nil {
		return nil, fault
	}
	token, err := p.dec.Token()
	if err != nil {
		return nil, jsonFault(p.data, err)
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return p.object(depth)
		}
		return p.array(depth)
	case string:
		return &node{kind: kindString, text: token}, nil
	case json.Number:
		return &node{kind: kindNumber, text: token.String()}, nil
	case bool:
		return &node{kind: kindBool, text: strconv.FormatBool(token)}, nil
	default:
		return &node{kind: kindNull}, nil
	}
}

func (p *jsonParser) object(depth int) (*node, *Fault) {
	n := &node{kind: kindObject}
	for p.dec.More() {
		key, fault := p.value(depth + 1)
		if fault != nil {
			return nil, fault
		}
		value, fault := p.value(depth + 1)
		if fault != nil {
			return nil, fault
		}
		n.members = append(n.members, member{key: key, value: value})
	}
	return n, p.end()
}

func (p *jsonParser) array(depth int) (*node, *Fault) {
	n := &node{kind: kindArray}
	for p.dec.More() {
		item, fault := p.value(depth + 1)
		if fault != nil {
			return nil, fault
		}
		n.items = append(n.items, item)
	}
	return n, p.end()
}

// end reads a closing bracket.
func (p *jsonParser) end() *Fault {
	if _, err := p.dec.Token(); err != nil {
		return jsonFault(p.data, err)
	}
	return nil
}
