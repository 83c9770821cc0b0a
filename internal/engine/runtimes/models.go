package runtimes

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/exposition"
)

// ModelLabels are the labels with which pages name the model of a sample: model_name of vLLM and SGLang, also on a page of Ray; model of
// Triton and of Dynamo's frontend; served_model of LocalAI. Of a sample with several of them the first one counts.
func ModelLabels() []string { return modelLabels[:] }

var modelLabels = [...]string{"model_name", "model", "served_model"}

// MaxNames bounds the models of a page that are told apart.
const MaxNames = 256

// modelScan collects the models that samples name. Nearly every page names the models of the page before, in their order, and then
// nothing is allocated.
type modelScan struct {
	before []string
	seen   [MaxNames / 64]uint64 // of before
	last   int                   // index in before of the last sample's model
	added  []string
	plain  [maxModelBytes]byte // space for a name without its escapes
}

func newModelScan(before []string) modelScan {
	return modelScan{before: before[:min(len(before), MaxNames)]}
}

func (m *modelScan) add(s *exposition.Sample) {
	name := modelOf(s)
	if len(name) == 0 || len(name) > maxModelBytes {
		return
	}
	if bytes.IndexByte(name, '\\') >= 0 {
		name = exposition.Unescape(m.plain[:0], name)
	}
	if i := m.find(name); i >= 0 {
		m.last = i
		m.seen[i/64] |= 1 << (i % 64)
		return
	}
	if len(m.added) >= MaxNames || slices.ContainsFunc(m.added, func(have string) bool { return have == string(name) }) {
		return
	}
	m.added = append(m.added, string(name))
}

// modelOf returns the escaped value of the label that names the sample's model.
func modelOf(s *exposition.Sample) []byte {
	for _, name := range modelLabels {
		for _, l := range s.Labels {
			if string(l.Name) == name && len(l.Value) > 0 {
				return l.Value
			}
		}
	}
	return nil
}

// find returns the index of a model of the page before, -1 if it is not there. It tries the last sample's model and its successor first.
func (m *modelScan) find(name []byte) int {
	for _, i := range [...]int{m.last, m.last + 1} {
		if i < len(m.before) && m.before[i] == string(name) {
			return i
		}
	}
	return slices.IndexFunc(m.before, func(have string) bool { return have == string(name) })
}

// result returns the models of the page: the slice of the page before if they are the same ones, else a new one with those that go on
// first.
func (m *modelScan) result() []string {
	n := 0
	for _, word := range m.seen {
		n += bits.OnesCount64(word)
	}
	if n == len(m.before) && (len(m.added) == 0 || n == MaxNames) {
		return m.before
	}
	list := make([]string, 0, n+len(m.added))
	for i, name := range m.before {
		if m.seen[i/64]&(1<<(i%64)) != 0 {
			list = append(list, name)
		}
	}
	list = append(list, m.added...)
	return list[:min(len(list), MaxNames)]
}

// scanAll reads the models of all samples: of a page whose runtime is not known, no counter is either.
func (m *modelScan) scanAll(page []byte) {
	var s exposition.Sample
	lines := exposition.NewScanner(page, exposition.Text)
	for lines.Scan() {
		if lines.Kind() == exposition.SampleLine && s.Parse(lines.Line()) == nil {
			m.add(&s)
		}
	}
}

// Parts returns which of the models on a page are parts of which other, such as the steps of an ensemble; "" as the whole: of one that is
// not known.
func (r Runtime) Parts(models []string) map[string]string {
	if r.parts == nil {
		return nil
	}
	return r.parts(models)
}

// maxAdapters bounds the adapters of a page.
const maxAdapters = 4 * MaxNames

// Adapters returns the names of the LoRA adapters that a page tells of: in the labels running_lora_adapters and waiting_lora_adapters of
// vLLM's lora_requests_info, which are lists, and in labels lora, lora_name and lora_adapter.
func Adapters(page []byte) map[string]bool {
	if !bytes.Contains(page, []byte("lora")) {
		return nil
	}
	found := map[string]bool{}
	var s exposition.Sample
	lines := exposition.NewScanner(page, exposition.Text)
	for lines.Scan() {
		line := lines.Line()
		if lines.Kind() != exposition.SampleLine || !bytes.Contains(line, []byte("lora")) || s.Parse(line) != nil {
			continue
		}
		for _, l := range s.Labels {
			switch string(l.Name) {
			case "running_lora_adapters", "waiting_lora_adapters", "lora", "lora_name", "lora_adapter":
			default:
				continue
			}
			for name := range strings.SplitSeq(string(exposition.Unescape(nil, l.Value)), ",") {
				if name = strings.TrimSpace(name); name != "" && len(found) < maxAdapters {
					found[name] = true
				}
			}
		}
	}
	return found
}
