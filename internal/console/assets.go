package console

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"sync"

	"github.com/stackscope/stackscope/internal/base/answer"
)

// assetsDir is where the build puts the files that index.html names, as their URLs have it.
const assetsDir = "console/assets"

// asset is a file or a document. It is read and compressed when it is asked for first; the clients that read it share it.
type asset struct {
	contentType string
	packed      bool // gains nothing from compression
	read        func() ([]byte, error)

	once    sync.Once
	tag     string // of the plain content
	size    int    // of the plain content
	body    []byte
	gzipped bool // body is compressed
	err     error
}

// contentTypes are those of the files that a build of the console has; those that gain nothing from compression are marked.
var contentTypes = map[string]struct {
	name   string
	packed bool
}{
	".css":         {"text/css; charset=utf-8", false},
	".html":        {"text/html; charset=utf-8", false},
	".ico":         {"image/x-icon", false},
	".js":          {"text/javascript; charset=utf-8", false},
	".json":        {"application/json", false},
	".map":         {"application/json", false},
	".png":         {"image/png", true},
	".svg":         {"image/svg+xml", false},
	".txt":         {"text/plain; charset=utf-8", false},
	".webmanifest": {"application/manifest+json", false},
	".woff2":       {"font/woff2", true},
}

// serveAsset answers with a file whose name has the hash of its content.
func (c *Console) serveAsset(w http.ResponseWriter, r *http.Request) {
	c.setHeaders(w)
	a := c.file(path.Join(assetsDir, r.PathValue("file")))
	if a == nil {
		w.Header().Set("Cache-Control", "no-store") // a newer build may have it
		http.Error(w, "there is no such file in this build of the console: reload the page", http.StatusNotFound)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	a.ServeHTTP(w, r)
}

// file returns a file of the build, nil if there is none.
func (c *Console) file(name string) *asset {
	if c.opts.Files == nil || path.Dir(name) != assetsDir || !fs.ValidPath(name) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.assets[name]; a != nil {
		return a
	}
	if info, err := fs.Stat(c.opts.Files, name); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	kind, ok := contentTypes[path.Ext(name)]
	if !ok {
		kind.name = "application/octet-stream"
	}
	a := &asset{contentType: kind.name, packed: kind.packed, read: func() ([]byte, error) { return fs.ReadFile(c.opts.Files, name) }}
	c.assets[name] = a
	return a
}

// load reads and compresses the content.
func (a *asset) load() {
	plain, err := a.read()
	a.read = nil // what it holds is not needed any more
	if err != nil {
		a.err = err
		return
	}
	a.tag, a.size, a.body = tagOf(plain), len(plain), plain
	if a.packed {
		return
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, _ = z.Write(plain) // a bytes.Buffer takes everything
		err = z.Close()
	}
	if err == nil && b.Len() < len(plain) {
		a.body, a.gzipped = bytes.Clone(b.Bytes()), true
	}
}

// ServeHTTP implements http.Handler.
func (a *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.once.Do(a.load)
	h := w.Header()
	if a.err != nil {
		h.Set("Cache-Control", "no-store")
		http.Error(w, fmt.Sprintf("it cannot be read: %v", a.err), http.StatusInternalServerError)
		return
	}
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", "W/"+a.tag) // weak, because both forms have it
	if answer.Matches(r.Header.Values("If-None-Match"), a.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", a.contentType)
	var body io.Reader = bytes.NewReader(a.body)
	size := a.size
	if a.gzipped {
		if answer.WantsGzip(r.Header) {
			h.Set("Content-Encoding", "gzip")
			size = len(a.body)
		} else if z, err := gzip.NewReader(body); err == nil {
			body = z
		}
	}
	h.Set("Content-Length", strconv.Itoa(size))
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, body) // a client that has gone needs no answer
	}
}
