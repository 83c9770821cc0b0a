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
	// maxArgs bounds how many words of a command line are read.
	maxArgs = 1024
	// maxLauncherWords bounds how many words behind a launcher's name may begin an engine's command.
	maxLauncherWords = 32

	maxModelBytes    = 512
	maxInstanceBytes = 253
	maxRuntimeBytes  = 64
	maxPathBytes     = 1024
)

// rule is a fleet.DetectionRule with its commands split into words.
type rule struct {
	fleet.DetectionRule
	commands [][]string
}

// ruleSet is all rules.
type ruleSet struct {
	all []*rule
	// programs are the first words of all commands.
	programs map[string]bool
}

func compileRules(list []fleet.DetectionRule) (*ruleSet, error) {
	s := &ruleSet{programs: map[string]bool{}}
	for i, from := range list {
		if from.Runtime == "" {
			return nil, fmt.Errorf("discovery: detection rule %d names no runtime", i+1)
		}
		if from.Port < 0 || from.Port > 65535 {
			return nil, fmt.Errorf("discovery: detection rule of %s: port %d: want 0 (none) to 65535", from.Runtime, from.Port)
		}
		next := &rule{DetectionRule: from}
		for _, command := range from.Commands {
			words := strings.Fields(command)
			if len(words) == 0 {
				return nil, fmt.Errorf("discovery: detection rule of %s: a command is empty", from.Runtime)
			}
			next.commands = append(next.commands, words)
			s.programs[words[0]] = true
		}
		s.all = append(s.all, next)
	}
	return s, nil
}

// candidate says what a command line may be, by its first word.
type candidate int

const (
	notAnEngine candidate = iota
	launcher              // no engine, but may become one by exec
	maybeEngine           // the whole command line has to be read
)

// prefilter reads the first word of a command line, without allocating: nearly all processes are no engines.
func (s *ruleSet) prefilter(cmdline []byte) candidate {
	word, _, _ := bytes.Cut(cmdline, []byte{0})
	word = word[bytes.LastIndexByte(word, '/')+1:]
	switch {
	case len(word) == 0:
		return notAnEngine
	case s.programs[string(word)], isPython(string(word)):
		return maybeEngine
	case isLauncher(string(word)):
		return launcher
	}
	return notAnEngine
}

// hasProcessTitle reports whether a process has written a title such as VLLM::EngineCore or sglang::scheduler over its command line,
// as the workers of an engine do.
func hasProcessTitle(cmdline []byte) bool {
	word, _, _ := bytes.Cut(cmdline, []byte{0})
	return bytes.Contains(word, []byte("::")) && bytes.IndexByte(word, '/') < 0
}

// splitArgs splits the text of /proc/PID/cmdline into its words.
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

// match returns the rule of the engine that a command line starts, nil if it starts none, and the arguments behind the command. The
// program itself must be the engine: `sh -c "vllm serve"` is none, its child is.
func (s *ruleSet) match(argv []string) (found *rule, rest []string) {
	if len(argv) == 0 || strings.Contains(path.Base(argv[0]), "::") {
		return nil, nil
	}
	program, script, rest := path.Base(argv[0]), "", argv[1:]
	if isPython(program) {
		if program, script, rest = pythonTarget(rest); program == "" {
			return nil, nil
		}
	}
	for _, r := range s.all {
		for _, command := range r.commands {
			if program != command[0] && !isModuleFile(script, command[0]) {
				continue
			}
			if n := len(command) - 1; len(rest) >= n && slices.Equal(rest[:n], command[1:]) && r.hasNeeded(rest[n:]) {
				return r, rest[n:]
			}
		}
	}
	return nil, nil
}

// hasNeeded reports whether one of the flags that the rule needs is given.
func (r *rule) hasNeeded(args []string) bool {
	return len(r.Needs) == 0 || slices.ContainsFunc(r.Needs, func(flag string) bool { return hasFlag(args, flag) })
}

// matchContainer does the same for a container's command. There the engine may also be behind launchers and in a shell's script, as in
// `tini -- sh -c "vllm serve"`, since only the first process of the container is described.
func (s *ruleSet) matchContainer(argv []string) (found *rule, rest []string) {
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

// matchImage returns the rule whose image this is, nil if there is none. A part of a name with a colon in it is compared with name
// and tag, any other with the name alone.
func (s *ruleSet) matchImage(image string) *rule {
	image, _, _ = strings.Cut(image, "@")
	name := image
	if at := strings.LastIndexByte(image, ':'); at > strings.LastIndexByte(image, '/') {
		name = image[:at]
	}
	for _, r := range s.all {
		for _, part := range r.Images {
			if part != "" && (strings.Contains(name, part) || (strings.Contains(part, ":") && strings.Contains(image, part))) {
				return r
			}
		}
	}
	return nil
}

// byRuntime returns the rule of a runtime, whose name may be in any case; nil if there is none.
func (s *ruleSet) byRuntime(name string) *rule {
	for _, r := range s.all {
		if strings.EqualFold(r.Runtime, name) {
			return r
		}
	}
	return nil
}
