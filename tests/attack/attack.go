// Package attack asks too much of the real programs, over loopback alone, and holds that nobody else notices. It runs when
// STACKSCOPE_ATTACK is set: 1 is everything, "reduced" is what CI does. STACKSCOPE_BIN names the directory of the programs.
package attack
