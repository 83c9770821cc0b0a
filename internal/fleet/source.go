package fleet

import "strings"

// Sources of models, as GPUStack names them.
const (
	SourceHuggingFace = "huggingface"
	SourceModelScope  = "model_scope"
	SourceLocalPath   = "local_path"
)

// ModelSource returns where a model comes from that an engine was told to load by this name, and which one it is there. ORG/NAME is one
// of Hugging Face: who knows that the engine uses ModelScope says so instead. Both are empty for other text: a single word can be a
// directory as well as a model, and a URL may hold a password.
func ModelSource(name string) (source, key string) {
	lower := strings.ToLower(name)
	switch {
	case name == "", len(name) > MaxSourceKey, TextFault(name) != "", strings.Contains(name, ":/"), strings.ContainsAny(name, "\\$@"):
		return "", ""
	case strings.HasPrefix(name, "/"), strings.HasPrefix(name, "."), strings.HasPrefix(name, "~"), strings.HasSuffix(name, "/"),
		strings.HasSuffix(lower, ".gguf"), strings.HasSuffix(lower, ".safetensors"), strings.Count(name, "/") > 1:
		return SourceLocalPath, name
	case strings.Count(name, "/") == 1 && !strings.Contains(name, " "):
		return SourceHuggingFace, name
	}
	return "", ""
}
