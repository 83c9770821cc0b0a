package smi

import (
	"fmt"
	"strings"
)

// maxFaults bounds how much is told of what is wrong with one reading.
const maxFaults = 8

// Faults collects what is wrong with the parts of a reading. The zero Faults is ready for use.
type Faults struct {
	told []error
	more int
}

// Add adds an error; nil and what goes beyond the bound are not told.
func (f *Faults) Add(err error) {
	switch {
	case err == nil:
	case len(f.told) == maxFaults:
		f.more++
	default:
		f.told = append(f.told, err)
	}
}

// Err is all that was added as one error of one line, nil if that is nothing.
func (f *Faults) Err() error {
	switch {
	case len(f.told) == 0:
		return nil
	case len(f.told) == 1 && f.more == 0:
		return f.told[0]
	}
	texts := make([]any, len(f.told))
	for i, err := range f.told {
		texts[i] = err
	}
	form := strings.Repeat("; %w", len(texts))[len("; "):]
	if f.more > 0 {
		return fmt.Errorf(form+"; and %d more", append(texts, f.more)...)
	}
	return fmt.Errorf(form, texts...)
}

// Join makes one error of one line of those that are not nil.
func Join(errs ...error) error {
	var f Faults
	for _, err := range errs {
		f.Add(err)
	}
	return f.Err()
}
