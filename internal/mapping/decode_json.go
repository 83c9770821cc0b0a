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
	p := jsonParser{dec: json.NewDecoder(bytes.NewReader(data)), data: data, line: 1}
	p.dec.UseNumber()
	return p.value(0)
}

// jsonFault describes a syntax error.
func jsonFault(data []byte, err error) *Fault {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return &Fault{Detail: "found no valid JSON: " + err.Error()}
	}
	line, column := position(data, int(syntax.Offset)-1)
	return &Fault{Detail: fmt.Sprintf("found no valid JSON at column %d: %s", column, syntax.Error()), Line: line}
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
	// line is the one of the byte at offset, from 1.
	line, offset int
}

func (p *jsonParser) value(depth int) (*node, *Fault) {
	if fault := p.budget.take(depth); fault != nil {
		return nil, fault
	}
	token, err := p.dec.Token()
	if err != nil {
		return nil, jsonFault(p.data, err)
	}
	n := &node{line: p.lineOfToken(), seq: p.budget.nodes}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return n, p.object(n, depth)
		}
		return n, p.array(n, depth)
	case string:
		n.kind, n.text = kindString, token
	case json.Number:
		n.kind, n.text = kindNumber, token.String()
	case bool:
		n.kind, n.text = kindBool, strconv.FormatBool(token)
	default:
		n.kind = kindNull
	}
	return n, nil
}

// lineOfToken returns the line of the last token: the one of its end, since no token goes over a line's end. The lines
// before it are counted once.
func (p *jsonParser) lineOfToken() int {
	end := int(p.dec.InputOffset())
	p.line += bytes.Count(p.data[p.offset:end], []byte{'\n'})
	p.offset = end
	return p.line
}

func (p *jsonParser) object(n *node, depth int) *Fault {
	n.kind = kindObject
	for p.dec.More() {
		key, fault := p.value(depth + 1)
		if fault != nil {
			return fault
		}
		value, fault := p.value(depth + 1)
		if fault != nil {
			return fault
		}
		n.members = append(n.members, member{key: key, value: value})
	}
	return p.end()
}

func (p *jsonParser) array(n *node, depth int) *Fault {
	n.kind = kindArray
	for p.dec.More() {
		item, fault := p.value(depth + 1)
		if fault != nil {
			return fault
		}
		n.items = append(n.items, item)
	}
	return p.end()
}

// end reads a closing bracket.
func (p *jsonParser) end() *Fault {
	if _, err := p.dec.Token(); err != nil {
		return jsonFault(p.data, err)
	}
	return nil
}
