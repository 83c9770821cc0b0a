package guard

import "regexp/syntax"

// instructions returns how many instructions a regular expression is compiled to, with the ranges of its classes; 0 when it is none.
func instructions(text string) int {
	re, err := syntax.Parse(text, syntax.Perl|syntax.DotNL)
	if err != nil {
		return 0
	}
	program, err := syntax.Compile(re.Simplify())
	if err != nil {
		return 0
	}
	n := len(program.Inst)
	for _, inst := range program.Inst {
		n += len(inst.Rune) / 20
	}
	return n
}
