package translate

import (
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// Split says which samples of a page belong to which of the models that it names. With By model_name, a page of
//
//	vllm:num_requests_running{model_name="qwen"} 3
//	vllm:num_requests_running{model_name="llama"} 5
//
// gives each sample the labels of its own model, instead of one model's to both.
type Split struct {
	// By lists the native labels that name the model of a sample. The first one that a sample has counts.
	By []string
	// Models are the labels of a model's samples, by the value of that native label.
	Models map[string][]Label
	// Other are the labels of samples of a model that is not in Models. Nil: those of the page as a whole.
	Other []Label
}

// split is a Split with a Source for each model.
type split struct {
	by     []string
	models map[string]*Source
	other  *Source         // nil: the whole page's
	names  map[string]bool // of the labels of all Sources
}

// NewSplitSource returns a Source for a page of several models. whole are the labels of samples that name no model; they should
// have no label model_name, and the labels of each model should have one of its own.
func NewSplitSource(whole []Label, s Split) *Source {
	src := NewSource(whole)
	src.split = &split{by: s.By, models: make(map[string]*Source, len(s.Models)), names: map[string]bool{}}
	src.split.addNames(src)
	for value, labels := range s.Models {
		model := newModelSource(labels)
		src.split.models[value] = model
		src.split.addNames(model)
	}
	if s.Other != nil {
		src.split.other = newModelSource(s.Other)
		src.split.addNames(src.split.other)
	}
	return src
}

func (s *split) addNames(src *Source) {
	for _, l := range src.labels {
		s.names[l.Name] = true
	}
}

// newModelSource returns the Source of one model of a page. The model's name is hashed, because the page's other samples may differ
// in it alone.
func newModelSource(labels []Label) *Source {
	src := NewSource(labels)
	if name, ok := src.value(catalog.LabelModelName); ok {
		src.hashed = []exposition.Label{{Name: []byte(catalog.LabelModelName), Value: exposition.AppendLabelValue(nil, name)}}
	}
	return src
}

// of returns the Source of a sample with these native labels.
func (s *Source) of(native []exposition.Label) *Source {
	if s.split == nil {
		return s
	}
	for _, name := range s.split.by {
		value := labelValue(native, name)
		if len(value) == 0 {
			continue
		}
		if model, ok := s.split.models[string(exposition.Unescape(nil, value))]; ok {
			return model
		}
		if s.split.other != nil {
			return s.split.other
		}
		break
	}
	return s
}

// isHashed reports whether hashes of output labels contain the label of that name. Those of the instance do not.
func (s *Source) isHashed(name string) bool {
	if s.split == nil {
		return !s.has(name)
	}
	return name == catalog.LabelModelName || !s.split.names[name]
}
