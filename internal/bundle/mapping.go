package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/exposition"
)

// Keys of a mapping document that say what stands below them.
const (
	mappingMetrics  = "gpustack_metrics"
	mappingRuntimes = "runtime_mapping"
	mappingAliases  = "name_aliases"
)

// Keys in targets whose values are values of labels, and those whose values are free texts.
var (
	labelValueKeys = []string{"match", "add"}
	freeTextKeys   = []string{"approx", "description", "unit"}
	versionKeys    = []string{"since", "until", "version"}
)

// rangePart is a part of a range of versions, such as >=0.9.0 or 0.11.*.
var rangePart = regexp.MustCompile(`^(?:[<>=!~^]{0,2}[0-9]{1,4}(?:\.(?:[0-9]{1,4}|\*|x)){0,2}|\*)$`)

// isRange reports whether s is a range of versions.
func isRange(s string) bool {
	const most = 4
	parts := strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == ' ' || c == '|' })
	return len(parts) > 0 && len(parts) <= most && !slices.ContainsFunc(parts, func(part string) bool { return !rangePart.MatchString(part) })
}

// mappingWords are values of keys.
var mappingWords = []string{"default", "counter", "gauge", "histogram", "summary", "cumulative", "sum", "count"}

// Mapping returns a mapping document, JSON in its own order, with names of metrics and labels, versions and numbers as they are, and all else
// hashed. An error says that it is no JSON.
func (r *Redactor) Mapping(document []byte) ([]byte, error) {
	w := mappingWriter{r: r, dec: json.NewDecoder(bytes.NewReader(document))}
	w.dec.UseNumber()
	if err := w.value(nil); err != nil {
		return nil, fmt.Errorf("mapping document: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, w.out.Bytes(), "", " "); err != nil {
		return nil, fmt.Errorf("mapping document: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// mappingWriter copies a document token by token, because the order of keys counts.
type mappingWriter struct {
	r   *Redactor
	dec *json.Decoder
	out bytes.Buffer
}

// maxMappingDepth bounds the nesting of a document.
const maxMappingDepth = 64

func (w *mappingWriter) value(keys []string) error {
	token, err := w.dec.Token()
	if err != nil {
		return err
	}
	if len(keys) > maxMappingDepth {
		return fmt.Errorf("it is nested deeper than %d", maxMappingDepth)
	}
	switch t := token.(type) {
	case json.Delim:
		return w.container(t, keys)
	case string:
		w.text(w.stringValue(keys, t))
	case json.Number:
		if !floatNumber.MatchString(t.String()) {
			w.text(w.r.Hash(Text, t.String()))
			return nil
		}
		w.out.WriteString(t.String())
	case bool:
		fmt.Fprint(&w.out, t)
	default:
		w.out.WriteString("null")
	}
	return nil
}

func (w *mappingWriter) container(open json.Delim, keys []string) error {
	w.out.WriteRune(rune(open))
	for n := 0; w.dec.More(); n++ {
		if n > 0 {
			w.out.WriteByte(',')
		}
		inner := keys
		if open == '{' {
			token, err := w.dec.Token()
			if err != nil {
				return err
			}
			key, ok := token.(string)
			if !ok {
				return fmt.Errorf("a key is %T", token)
			}
			inner = append(slices.Clone(keys), key)
			w.text(w.key(keys, key))
			w.out.WriteByte(':')
		}
		if err := w.value(inner); err != nil {
			return err
		}
	}
	end, err := w.dec.Token()
	if err != nil {
		return err
	}
	fmt.Fprint(&w.out, end)
	return nil
}

func (w *mappingWriter) text(s string) {
	encoded, err := json.Marshal(s)
	if err != nil {
		encoded = []byte(`""`)
	}
	w.out.Write(encoded)
}

// key returns a key below keys: of metrics, natives and labels the names stay, of runtimes those that the programs know.
func (w *mappingWriter) key(keys []string, key string) string {
	known := w.r.word(key)
	if len(keys) > 0 {
		switch {
		case len(keys) == 1 && (keys[0] == mappingRuntimes || keys[0] == mappingAliases): // a runtime
			if known {
				return key
			}
			return w.r.Hash(Text, key)
		case len(keys) == 2 && keys[0] == mappingRuntimes:
			if isRange(key) {
				return key
			}
			return w.r.Hash(Text, key)
		case slices.Contains([]string{mappingMetrics, mappingRuntimes, mappingAliases}, keys[0]):
			if !known && exposition.ValidMetricName(key) && len(key) <= maxMetricName {
				return w.r.identifierName(key)
			}
		}
	}
	if known {
		return key
	}
	return w.r.Hash(Text, key)
}

func (w *mappingWriter) stringValue(keys []string, v string) string {
	parent := ""
	if len(keys) > 0 {
		parent = keys[len(keys)-1]
	}
	if len(keys) > 1 && slices.Contains(labelValueKeys, keys[len(keys)-2]) {
		not, value, negated := strings.Cut(v, "!")
		if negated && not == "" {
			return "!" + w.r.Label(parent, value)
		}
		return w.r.Label(parent, v)
	}
	switch {
	case slices.Contains(freeTextKeys, parent), len(keys) > 0 && keys[0] == "metric_queries":
		return w.r.Hash(Text, v)
	case slices.Contains(mappingWords, v), shortInteger.MatchString(v):
		return v
	case slices.Contains(versionKeys, parent):
		if isVersion(v) {
			return v
		}
	case len(keys) > 0 && slices.Contains([]string{mappingMetrics, mappingRuntimes, mappingAliases}, keys[0]) && exposition.ValidMetricName(v) && len(v) <= maxMetricName:
		return w.r.identifierName(v)
	}
	return w.r.Hash(Text, v)
}
