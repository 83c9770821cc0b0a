package command

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// candidatesCommand is the word with which the shells' scripts ask this program what may come next. The last word is the one to complete.
const candidatesCommand = "__complete"

type completionCmd struct {
	Shell string `arg:"" help:"bash, zsh or fish." enum:"bash,zsh,fish"`
}

// Help says how the scripts are installed.
func (*completionCmd) Help() string {
	return `In this shell:

  source <(PROGRAM completion bash)
  source <(PROGRAM completion zsh)
  PROGRAM completion fish | source

In every shell, where PROGRAM is stackscope or stackscope-worker:

  PROGRAM completion bash > ~/.local/share/bash-completion/completions/PROGRAM
  PROGRAM completion zsh > "${fpath[1]}/_PROGRAM"
  PROGRAM completion fish > ~/.config/fish/completions/PROGRAM.fish`
}

// Run is called by kong.
func (c *completionCmd) Run(e *Env, program *kong.Kong) error {
	script := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[c.Shell]
	name := program.Model.Name
	_, err := io.WriteString(e.Stdout, strings.NewReplacer("PROGRAM", name, "FUNCTION", "_"+strings.ReplaceAll(name, "-", "_")).Replace(script))
	return err
}

// The scripts ask the program itself, so that they are right for every version. Each line of an answer is a candidate, a tab and what it
// is; the last line is :files, :directories or :nothing, for what else may stand there.
const (
	// Bash splits words at = and : (COMP_WORDBREAKS): --log-level=de is three words, of which the last one is completed.
	bashScript = `# bash completion of PROGRAM
FUNCTION() {
    local cur="${COMP_WORDS[COMP_CWORD]}" kind=:nothing value rest
    COMPREPLY=()
    [[ $cur == "=" ]] && cur=""
    while IFS=$'\t' read -r value rest; do
        case $value in
            :*) kind=$value ;;
            "$cur"*) COMPREPLY+=("$value") ;;
        esac
    done < <("${COMP_WORDS[0]/#\~/$HOME}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    if [[ ${#COMPREPLY[@]} -eq 0 ]]; then
        case $kind in
            :files) while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -f -- "$cur"); compopt -o filenames 2>/dev/null ;;
            :directories) while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -d -- "$cur"); compopt -o filenames 2>/dev/null ;;
        esac
    fi
    return 0
}
complete -F FUNCTION PROGRAM
`
	zshScript = `#compdef PROGRAM
_PROGRAM() {
    local line value kind=:nothing
    local -a found
    while IFS= read -r line; do
        case $line in
            :*) kind=$line ;;
            *)
                value=${line%%$'\t'*}
                value=${value//:/\\:}
                [[ $line == *$'\t'?* ]] && value+=":${line#*$'\t'}"
                found+=("$value")
                ;;
        esac
    done < <("${words[1]/#\~/$HOME}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( ${#found} )); then
        compset -P '--*=' && found=("${found[@]#--*=}")
        _describe PROGRAM found
    fi
    case $kind in
        :files) compset -P '--*='; _files ;;
        :directories) compset -P '--*='; _files -/ ;;
    esac
}
if [[ ${funcstack[1]} == _PROGRAM ]]; then
    _PROGRAM "$@"
else
    compdef _PROGRAM PROGRAM
fi
`
	fishScript = `# fish completion of PROGRAM
function FUNCTION
    set -l words (commandline -opc) (commandline -ct)
    set -l program $words[1]
    set -l kind :nothing
    for line in ($program __complete $words[2..-1] 2>/dev/null)
        switch $line
            case ':*'
                set kind $line
            case '*'
                echo $line
        end
    end
    switch $kind
        case :files
            __fish_complete_path (commandline -ct)
        case :directories
            __fish_complete_directories (commandline -ct)
    end
end
complete -c PROGRAM -f -a '(FUNCTION)'
`
)

// What may stand in a place besides the candidates.
const (
	noFiles     = ":nothing"
	files       = ":files"
	directories = ":directories"
)

type candidate struct{ value, help string }

func printCandidates(w io.Writer, program *kong.Node, words []string) error {
	list, kind := candidates(program, words)
	var b strings.Builder
	for _, c := range list {
		help, _, _ := strings.Cut(strings.ReplaceAll(c.help, "\n", " "), ". ")
		fmt.Fprintf(&b, "%s\t%s\n", c.value, strings.TrimSuffix(help, "."))
	}
	_, err := io.WriteString(w, b.String()+kind+"\n")
	return err
}

// candidates returns what may stand in the place of the last of words, in a program's command line without its name.
func candidates(program *kong.Node, words []string) (_ []candidate, kind string) {
	if len(words) == 0 {
		words = []string{""}
	}
	words, split := unsplit(words)
	current := words[len(words)-1]
	words = words[:len(words)-1]
	if len(words) > 0 && words[0] == "help" {
		return commandsBelow(walk(program, words[1:])), noFiles
	}
	node, arguments := program, 0
	if len(words) > 0 && extraOf(words[0]) && child(program, words[0]) == nil {
		extra, err := kong.New(new(Extra))
		if err != nil {
			return nil, noFiles
		}
		node = extra.Model.Node
	}
	var open *kong.Flag // the flag whose value comes next
	only := false       // behind --, no word is a flag
	for _, word := range words {
		switch {
		case open != nil:
			open = nil
		case only:
			arguments++
		case word == "--":
			only = true
		case strings.HasPrefix(word, "-"):
			if name, _, given := strings.Cut(word, "="); !given {
				if f := flagOf(node, name); f != nil && !f.IsBool() {
					open = f
				}
			}
		default:
			if next := child(node, word); next != nil && arguments == 0 {
				node = next
			} else {
				arguments++
			}
		}
	}
	switch name, _, value := strings.Cut(current, "="); {
	case open != nil:
		return values(open.Value, "")
	case strings.HasPrefix(current, "--") && value && !only:
		prefix := name + "="
		if split {
			prefix = "" // the shell replaces only what follows =
		}
		if f := flagOf(node, name); f != nil {
			return values(f.Value, prefix)
		}
		return nil, noFiles
	case strings.HasPrefix(current, "-") && !only:
		return flagsOf(node), noFiles
	}
	list := commandsBelow(node)
	if node.Type == kong.ApplicationNode && len(node.Children) == 0 && len(words) == 0 {
		list = append(extraCommands(), flagsOf(node)...)
	}
	if arguments < len(node.Positional) {
		values, kind := values(node.Positional[arguments], "")
		return append(list, values...), kind
	}
	if len(list) == 0 && !only {
		list = flagsOf(node)
	}
	return list, noFiles
}

// unsplit joins what bash splits: --flag, = and a value. split says that the last word was one of those.
func unsplit(words []string) (joined []string, split bool) {
	for i := 0; i < len(words); i++ {
		last := len(joined) - 1
		if words[i] != "=" || last < 0 || !strings.HasPrefix(joined[last], "--") || strings.Contains(joined[last], "=") {
			joined, split = append(joined, words[i]), false
			continue
		}
		joined[last] += "="
		if i++; i < len(words) {
			joined[last] += words[i]
		}
		split = true
	}
	return joined, split
}

// extraCommands are those of Extra, for a program that lacks them in its grammar.
func extraCommands() []candidate {
	extra, err := kong.New(new(Extra))
	if err != nil {
		return nil
	}
	return commandsBelow(extra.Model.Node)
}

func walk(node *kong.Node, words []string) *kong.Node {
	for _, word := range words {
		if node = child(node, word); node == nil {
			return &kong.Node{}
		}
	}
	return node
}

func commandsBelow(node *kong.Node) (list []candidate) {
	for _, n := range node.Children {
		if !n.Hidden {
			list = append(list, candidate{n.Name, n.Help})
		}
	}
	return list
}

// visible returns the flags that may stand behind node, with those of the commands above it and of its default command.
func visible(node *kong.Node) (list []*kong.Flag) {
	if node.DefaultCmd != nil {
		node = node.DefaultCmd
	}
	for _, group := range node.AllFlags(true) {
		list = append(list, group...)
	}
	return list
}

func flagsOf(node *kong.Node) (list []candidate) {
	for _, f := range visible(node) {
		list = append(list, candidate{"--" + f.Name, f.Help})
	}
	return list
}

func flagOf(node *kong.Node, word string) *kong.Flag {
	list := visible(node)
	i := slices.IndexFunc(list, func(f *kong.Flag) bool {
		return word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short)
	})
	if i < 0 {
		return nil
	}
	return list[i]
}

// values returns the values of a flag or an argument that are known, each behind prefix, or which files they name.
func values(v *kong.Value, prefix string) (list []candidate, kind string) {
	if v.Enum != "" {
		for _, word := range v.EnumSlice() {
			list = append(list, candidate{prefix + word, ""})
		}
		return list, noFiles
	}
	name := strings.ToUpper(v.Name)
	if v.Flag != nil && v.Flag.PlaceHolder != "" {
		name = v.Flag.PlaceHolder
	}
	switch {
	case name == "FILE", name == "PATH", name == "PAGE", strings.HasSuffix(name, "-FILE"):
		return nil, files
	case name == "DIR":
		return nil, directories
	}
	return nil, noFiles
}
