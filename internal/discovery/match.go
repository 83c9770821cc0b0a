package discovery

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/stackscope/stackscope/internal/fleet"
)

const (
	// maxArgs bounds the words of a command line that are looked at.
	maxArgs = 1024
	// maxLauncherWords bounds how far behind a launcher's name a command is looked for.
	maxLauncherWords = 32

	maxModelBytes    = 512
	maxInstanceBytes = 253
	maxRuntimeBytes  = 64
	maxPathBytes     = 1024
)

// sign is a fleet.DetectionRule ready for use.
type sign struct {
	fleet.DetectionRule
	commands [][]string
}

// signs are the kinds of engine that are looked for.
type signs struct {
	list []*sign
	// first are the programs with which a command of theirs begins.
	first map[string]bool
}

func compile(list []fleet.DetectionRule) (*signs, error) {
	s := &signs{first: map[string]bool{}}
	for i, from := range list {
		if from.Runtime == "" {
			return nil, fmt.Errorf("discovery: sign %d names no runtime", i+1)
		}
		if from.Port < 0 || from.Port > 65535 {
			return nil, fmt.Errorf("discovery: sign of %s: port %d: want 0 (none) to 65535", from.Runtime, from.Port)
		}
		next := &sign{DetectionRule: from}
		for _, command := range from.Commands {
			words := strings.Fields(command)
			if len(words) == 0 {
				return nil, fmt.Errorf("discovery: sign of %s has an empty command", from.Runtime)
			}
			next.commands = append(next.commands, words)
			s.first[words[0]] = true
		}
		s.list = append(s.list, next)
	}
	return s, nil
}

// glance says what a command line can be by its first word.
type glance int

const (
	glanceOther    glance = iota // no engine
	glanceLauncher               // no engine, but it may become one by exec
	glanceMaybe                  // to be looked at
)

// glance looks at the first word of a command line without allocating.
func (s *signs) glance(cmdline []byte) glance {
	word, _, _ := bytes.Cut(cmdline, []byte{0})
	word = word[bytes.LastIndexByte(word, '/')+1:]
	switch {
	case len(word) == 0:
		return glanceOther
	case s.first[string(word)], isPython(string(word)):
		return glanceMaybe
	case isLauncher(string(word)):
		return glanceLauncher
	}
	return glanceOther
}

// titled reports whether a process wrote a title of the kind VLLM::EngineCore or sglang::scheduler over its command line:
// it is a worker of an engine.
func titled(cmdline []byte) bool {
	word, _, _ := bytes.Cut(cmdline, []byte{0})
	return bytes.Contains(word, []byte("::")) && bytes.IndexByte(word, '/') < 0
}

// splitArgs takes a command line of /proc apart.
func splitArgs(cmdline []byte) []string {
	cmdline = bytes.TrimRight(cmdline, "\x00")
	if len(cmdline) == 0 {
		return nil
	}
	args := make([]string, 0, min(bytes.Count(cmdline, []byte{0})+1, maxArgs))
	for word := range bytes.SplitSeq(cmdline, []byte{0}) {
		if len(args) == maxArgs {
			break
		}
		args = append(args, string(word))
	}
	return args
}

// match returns the kind of engine that a command line starts, nil if it starts none, and what stands behind the command. The
// program itself must be the engine: what a shell or another launcher is told to start does not count.
func (s *signs) match(argv []string) (found *sign, rest []string) {
	if len(argv) == 0 || strings.Contains(path.Base(argv[0]), "::") {
		return nil, nil
	}
	program, script, rest := path.Base(argv[0]), "", argv[1:]
	if isPython(program) {
		if program, script, rest = pythonTarget(rest); program == "" {
			return nil, nil
		}
	}
	for _, sign := range s.list {
		for _, command := range sign.commands {
			if program != command[0] && !isModuleFile(script, command[0]) {
				continue
			}
			if n := len(command) - 1; len(rest) >= n && slices.Equal(rest[:n], command[1:]) {
				return sign, rest[n:]
			}
		}
	}
	return nil, nil
}

// matchContainer does the same for what a container was told to start, where an engine may stand behind launchers and in a
// shell's script.
func (s *signs) matchContainer(argv []string) (found *sign, rest []string) {
	if found, rest = s.match(argv); found != nil || len(argv) == 0 || !isLauncher(path.Base(argv[0])) {
		return found, rest
	}
	for i := 1; i < min(len(argv), maxLauncherWords); i++ {
		if found, rest = s.match(argv[i:]); found != nil {
			return found, rest
		}
		if argv[i-1] != "-c" && argv[i-1] != "-lc" {
			continue
		}
		words := strings.FieldsFunc(argv[i], func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`;&|()"'`, r) })
		for j := range min(len(words), maxArgs) {
			if found, rest = s.match(words[j:]); found != nil {
				return found, rest
			}
		}
	}
	return nil, nil
}

// matchImage returns the kind of engine whose image this is, nil if it is nobody's. A part that has a colon in it is
// looked for in the whole name, any other in the name without tag and digest.
func (s *signs) matchImage(image string) *sign {
	image, _, _ = strings.Cut(image, "@")
	name := image
	if at := strings.LastIndexByte(image, ':'); at > strings.LastIndexByte(image, '/') {
		name = image[:at]
	}
	for _, sign := range s.list {
		for _, part := range sign.Images {
			if part != "" && (strings.Contains(name, part) || (strings.Contains(part, ":") && strings.Contains(image, part))) {
				return sign
			}
		}
	}
	return nil
}

// byRuntime returns the sign of a runtime named in any case, nil if there is none.
func (s *signs) byRuntime(name string) *sign {
	for _, sign := range s.list {
		if strings.EqualFold(sign.Runtime, name) {
			return sign
		}
	}
	return nil
}
