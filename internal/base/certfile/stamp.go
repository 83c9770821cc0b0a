// Package certfile keeps certificates and authorities in step with the files that they come from.
package certfile

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// interval is how often files are looked at, at most, while connections come.
const interval = 2 * time.Second

// stamp tells one content of a file from another without reading it.
type stamp struct{ info os.FileInfo }

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info}
}

func (s stamp) same(o stamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == nil && o.info == nil
	}
	return os.SameFile(s.info, o.info) && s.info.ModTime().Equal(o.info.ModTime()) && s.info.Size() == o.info.Size()
}

// bare is the reason of an error without its path, which whoever calls names.
func bare(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
