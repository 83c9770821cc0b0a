package durable

import (
	"bytes"
	"io/fs"
)

// Mirror is a file that follows a value in memory. It is for one goroutine at a time.
type Mirror struct {
	Path string
	Perm fs.FileMode

	held   []byte // what the file holds
	reason string // of the last failure
}

// Holds notes what the file holds already; nil means nothing of use.
func (m *Mirror) Holds(data []byte) { m.held = data }

// Update writes data unless the file holds it already. Of failures for one and the same reason it returns only the first,
// so that callers that go on without the file can log what it returns.
func (m *Mirror) Update(data []byte) error {
	if bytes.Equal(data, m.held) {
		m.reason = ""
		return nil
	}
	if err := WriteFile(m.Path, data, m.Perm); err != nil {
		if err.Error() == m.reason {
			return nil
		}
		m.reason = err.Error()
		return err
	}
	m.held, m.reason = bytes.Clone(data), ""
	return nil
}

// Kept reports whether the file holds data.
func (m *Mirror) Kept(data []byte) bool { return bytes.Equal(data, m.held) }
