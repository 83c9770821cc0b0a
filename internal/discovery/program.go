package discovery

import (
	"path"
	"strings"
)

// pythonTarget returns what a Python interpreter with these arguments runs: a module's name, or a script's base name and path, and
// the arguments behind it. It returns nothing for `python -c CODE`.
func pythonTarget(args []string) (program, script string, rest []string) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if len(arg) < 2 || arg[0] != '-' {
			if arg == "" || arg == "-" {
				break
			}
			return path.Base(arg), arg, args
		}
		if strings.HasPrefix(arg, "--") {
			continue // such as --check-hash-based-pycs=never
		}
		// Short options may be combined (-um MODULE); the last one may take a value, in the same word or the next.
		at := strings.IndexAny(arg, "mcXW")
		if at < 0 {
			continue
		}
		value := arg[at+1:]
		if value == "" && len(args) > 0 {
			value, args = args[0], args[1:]
		}
		switch arg[at] {
		case 'c':
			return "", "", nil
		case 'm':
			return value, "", args
		}
	}
	return "", "", nil
}

// isModuleFile reports whether script is the file of a Python module.
func isModuleFile(script, module string) bool {
	if script == "" || !strings.Contains(module, ".") {
		return false
	}
	file := strings.ReplaceAll(module, ".", "/") + ".py"
	return script == file || strings.HasSuffix(script, "/"+file)
}

// isPython reports whether a program is a Python interpreter, as in python, python3, python3.11 or python3.13t.
func isPython(program string) bool {
	rest, ok := strings.CutPrefix(program, "python")
	if !ok {
		if rest, ok = strings.CutPrefix(program, "pypy"); !ok {
			return false
		}
	}
	return strings.Trim(strings.TrimSuffix(rest, "t"), "0123456789.") == ""
}

// isLauncher reports whether a program starts others, by exec or as its children.
func isLauncher(program string) bool {
	switch strings.TrimPrefix(program, "-") { // a login shell's name has a dash before it
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "busybox", "env", "uv", "uvx", "poetry", "pdm", "pipenv", "conda", "mamba",
		"micromamba", "tini", "tini-static", "dumb-init", "docker-init", "catatonit", "s6-supervise", "runsv", "gosu", "su-exec", "su",
		"sudo", "runuser", "setpriv", "nohup", "nice", "ionice", "chrt", "taskset", "numactl", "setsid", "stdbuf", "timeout", "time",
		"unshare", "nsenter", "ip", "srun", "mpirun", "runc", "crun", "runc:[1:CHILD]", "runc:[2:INIT]":
		return true
	}
	return false
}
