package install

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/stackscope/stackscope/internal/base/durable"
)

const (
	partSuffix  = ".part"
	stateSuffix = ".json"
	maxState    = 16 << 10 // bytes
)

// part is an archive that is being fetched. Beside it lies a file that says where it comes from, so that a later run can go on
// with it; a part without one is worth nothing.
type part struct {
	path  string
	file  *os.File
	size  int64
	state partState
}

// partState is what the file beside a part holds.
type partState struct {
	URL       string `json:"url"`
	Validator string `json:"validator"` // strong ETag or date by which the server knows the file again; empty: it gave none
	Total     int64  `json:"total"`     // bytes; 0: the server didn't say
}

func openPart(path, url string) (*part, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	p := &part{path: path, file: f, state: readState(path + stateSuffix)}
	if p.state.URL != url || p.state.Validator == "" {
		p.state = partState{URL: url}
		return p, p.closeOn(p.restart("", 0))
	}
	if p.size, err = f.Seek(0, io.SeekEnd); err != nil {
		return nil, p.closeOn(err)
	}
	if p.state.Total > 0 && p.size > p.state.Total {
		return p, p.closeOn(p.restart("", 0))
	}
	return p, nil
}

func (p *part) closeOn(err error) error {
	if err != nil {
		return errors.Join(err, p.close())
	}
	return nil
}

func readState(path string) (s partState) {
	f, err := os.Open(path)
	if err != nil {
		return partState{}
	}
	defer func() { _ = f.Close() }() // only read
	if json.NewDecoder(io.LimitReader(f, maxState)).Decode(&s) != nil {
		return partState{}
	}
	return s
}

// finished says whether all of the archive is here.
func (p *part) finished() bool { return p.state.Total > 0 && p.size == p.state.Total }

// restart empties the part and notes how the server will know it again. The part is emptied first: then the state never
// vouches for another file's bytes.
func (p *part) restart(validator string, total int64) error {
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	p.size = 0
	p.state.Validator, p.state.Total = validator, total
	if len(validator) > maxState/2 {
		p.state.Validator = ""
	}
	data, err := json.Marshal(p.state)
	if err != nil {
		return err
	}
	return durable.WriteFile(p.path+stateSuffix, data, 0o600)
}

func (p *part) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.size += int64(n)
	return n, err
}

func (p *part) close() error {
	if p.file == nil {
		return nil
	}
	err := p.file.Close()
	p.file = nil
	return err
}

// remove deletes the part and its state. What cannot be deleted is overwritten by the next run.
func (p *part) remove() {
	_ = os.Remove(p.path)
	_ = os.Remove(p.path + stateSuffix)
}
