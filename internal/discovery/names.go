package discovery

import (
	"encoding/json"
	"slices"
	"strings"
)

// maxModelNames bounds the names of one model, or of adapters, that are kept of a command line.
const maxModelNames = 64

// servedNames returns the names that a command line gives to one model, with spaces between them; "" if it is one or none.
func (r *rule) servedNames(args []string) string {
	var names []string
	for _, value := range flagValues(args, r.NameFlags) {
		names = appendName(names, value)
	}
	if len(names) < 2 {
		return ""
	}
	return strings.Join(names, " ")
}

// adapterNames returns the names of the LoRA adapters on a command line, with spaces between them. An adapter is written NAME=PATH, as a
// JSON object with a name, or as a name alone.
func (r *rule) adapterNames(args []string) string {
	var names []string
	for _, value := range flagValues(args, r.AdapterFlags) {
		if !strings.HasPrefix(value, "{") {
			name, _, _ := strings.Cut(value, "=")
			names = appendName(names, name)
			continue
		}
		var object struct {
			Name     string `json:"name"`      // vLLM
			LoraName string `json:"lora_name"` // SGLang
		}
		if json.Unmarshal([]byte(value), &object) == nil {
			names = appendName(names, object.Name)
			names = appendName(names, object.LoraName)
		}
	}
	return strings.Join(names, " ")
}

// appendName appends a name that may be one of a model: no path, and without a space.
func appendName(names []string, name string) []string {
	if name = modelName(name); name != "" && !strings.Contains(name, " ") && len(names) < maxModelNames {
		return append(names, name)
	}
	return names
}

// flagValues returns the words that follow any of these flags, up to the next flag. Of a flag that is given twice the last values count,
// as in argparse.
func flagValues(args, flags []string) (values []string) {
	for i := 0; i < len(args); i++ {
		name, inline, joined := strings.Cut(args[i], "=")
		if !slices.ContainsFunc(flags, func(flag string) bool { return sameFlag(name, flag) }) {
			continue
		}
		values = nil
		if joined {
			values = append(values, inline)
			continue
		}
		for i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			i++
			values = append(values, args[i])
		}
	}
	return values
}
