package install

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/stackscope/stackscope/internal/base/durable"
)

// explain adds to errors of the file system what to do about them.
func (in *installer) explain(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk of %s is full (%w): free some 3 GB there or choose another directory with --dir", in.Dir, durable.Cause(err))
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s cannot be written (%w): choose another directory with --dir", in.Dir, durable.Cause(err))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run it as the owner of %s, or choose another directory with --dir", err, in.Dir)
	}
	return err
}
