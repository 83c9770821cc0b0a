// Package certfile keeps certificates and authorities in step with the files that they come from.
package certfile

import (
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
	return s.info == nil && o.info == nil || Same(s.info, o.info)
}

// Same reports whether nothing but a file's content can tell b from a. Without both it doesn't.
func Same(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
