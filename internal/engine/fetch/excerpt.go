package fetch

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// MaxExcerpt bounds Excerpt.Body.
	MaxExcerpt = 4 << 10
	// excerptTime is how long a fetch that has failed waits for the beginning of the body.
	excerptTime = 100 * time.Millisecond
)

// Excerpt is the beginning of an answer that is not a whole metrics page: a part of one, HTML, or anything else.
type Excerpt struct {
	ContentType string
	Body        string // at most MaxExcerpt bytes of valid UTF-8, without the credentials of the request
}

// readExcerpt reads the beginning of the body of resp. If it does not come within excerptTime, abort ends the request.
func readExcerpt(resp *http.Response, abort func(error)) []byte {
	if resp.Header.Get("Content-Encoding") != "" {
		return nil
	}
	timer := time.AfterFunc(excerptTime, func() { abort(nil) })
	defer timer.Stop()
	start, _ := io.ReadAll(io.LimitReader(resp.Body, MaxExcerpt)) // what came before an error is shown
	return start
}

// excerpt returns what is shown of an answer that begins with start.
func (t Target) excerpt(contentType string, start []byte) Excerpt {
	text := strings.ToValidUTF8(string(start[:min(len(start), MaxExcerpt)]), "\uFFFD")
	if t.user != "" || t.password != "" {
		basic := t.user + ":" + t.password
		for _, s := range []string{base64.StdEncoding.EncodeToString([]byte(basic)), basic, t.password} {
			if s != "" {
				text = strings.ReplaceAll(text, s, "***")
			}
		}
	}
	if len(text) > MaxExcerpt { // invalid bytes became longer
		text = strings.ToValidUTF8(text[:MaxExcerpt], "")
	}
	return Excerpt{contentType, text}
}
