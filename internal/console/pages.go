package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"time"
)

const indexFile = "index.html"

// page is index.html.
type page struct {
	text []byte
	tag  string
}

var errNotBuilt = errors.New("this program was built without the console's files: run hack/build-console and build it again. The API, /prometheus/ and /grafana/ work without them")

func (c *Console) readIndex() (page, error) {
	if c.opts.Files == nil {
		return page{}, errNotBuilt
	}
	text, err := fs.ReadFile(c.opts.Files, indexFile)
	if err != nil {
		return page{}, fmt.Errorf("the console's page cannot be read: %w", err)
	}
	if every := c.opts.ScrapeInterval; every > 0 {
		// In the page, because queries leave before any other answer is there.
		text = bytes.Replace(text, []byte(scrapeIntervalTag+`"15"`), fmt.Appendf(nil, `%s"%g"`, scrapeIntervalTag, every.Seconds()), 1)
	}
	return page{text, tagOf(text)}, nil
}

// scrapeIntervalTag is where the page says how many seconds lie between two scrapes.
const scrapeIntervalTag = `<meta name="scrape-interval" content=`

// servePage answers with index.html. Browsers ask for it again each time, because it names the files of the build.
func (c *Console) servePage(w http.ResponseWriter, r *http.Request) {
	c.setHeaders(w)
	p, err := c.index()
	if err != nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", p.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.text))
}

// tagOf returns the strong ETag of a content.
func tagOf(content []byte) string {
	sum := sha256.Sum256(content)
	return strconv.Quote(base64.RawURLEncoding.EncodeToString(sum[:12]))
}
