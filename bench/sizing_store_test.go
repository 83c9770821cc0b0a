package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"
	"github.com/prometheus/prometheus/util/compression"

	"github.com/stackscope/stackscope/internal/prom"
)

// scrapedPage is a worker's page.
type scrapedPage struct {
	at   time.Time
	text []byte
}

// sampleStore is a TSDB with the settings of the embedded Prometheus.
type sampleStore struct {
	dir      string
	db       *tsdb.DB
	symbols  *labels.SymbolTable
	known    map[string]storage.SeriesRef // by the text of a series
	appended int
}

// sourceSize is what the series of a source take in blocks.
type sourceSize struct {
	series  map[string]bool
	samples int
	chunks  float64 // bytes of its chunks
	bytes   float64 // and its share of the rest
}

func openSampleStore(t *testing.T, dir string) *sampleStore {
	t.Helper()
	opts := tsdb.DefaultOptions()
	opts.WALCompression = compression.Snappy
	opts.NoLockfile = true
	opts.RetentionDuration = (15 * 24 * time.Hour).Milliseconds() // the default: blocks of up to a tenth of it
	opts.MaxBlockDuration = opts.RetentionDuration / 10
	db, err := tsdb.Open(dir, nil, nil, opts, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &sampleStore{dir: dir, db: db, symbols: labels.NewSymbolTable(), known: map[string]storage.SeriesRef{}}
}

// add appends the samples of a page.
func (s *sampleStore) add(page scrapedPage) error {
	app := s.db.Appender(context.Background())
	p := textparse.NewPromParser(page.text, s.symbols, false)
	at := page.at.UnixMilli()
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return app.Commit()
		}
		if err != nil {
			return fmt.Errorf("%w: %.200s", err, page.text)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		text, _, value := p.Series()
		ref, known := s.known[string(text)]
		got, err := ref, error(nil)
		if known {
			got, err = app.Append(ref, labels.EmptyLabels(), at, value)
		}
		if !known || err != nil { // a series that ended has left the head
			got, err = app.Append(0, s.labelsOf(p), at, value)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		if got != ref {
			s.known[string(text)] = got
		}
		s.appended++
	}
}

// labelsOf returns the labels of the parser's series in the server.
func (s *sampleStore) labelsOf(p textparse.Parser) labels.Labels {
	var l labels.Labels
	p.Labels(&l)
	b := labels.NewBuilder(l)
	b.Set("job", prom.JobWorkers)
	b.Set("instance", "10.0.0.7:10151")
	return b.Labels()
}

// finish writes blocks as the server does and returns a table of what each source takes.
func (s *sampleStore) finish(t *testing.T, hours int) string {
	t.Helper()
	if err := s.db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	sizes := map[string]*sourceSize{}
	var bytes, samples int
	for _, b := range s.db.Blocks() {
		bytes += s.measure(t, b, sizes)
		samples += int(b.Meta().Stats.NumSamples)
		t.Logf("block of %v: %.1f MB", time.Duration(b.MaxTime()-b.MinTime())*time.Millisecond, float64(b.Size())/1e6)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%d samples in %d hours; in blocks %.1f MB for %d samples: %.2f bytes each\n", s.appended, hours, float64(bytes)/1e6, samples, float64(bytes)/float64(samples))
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		g := sizes[name]
		fmt.Fprintf(&out, "%-8s %5d series, %5.2f bytes a sample, %6.2f MB a day\n", name, len(g.series), g.bytes/float64(g.samples),
			g.bytes/float64(g.samples)*float64(len(g.series))*float64(24*time.Hour/sizingEvery)/1e6)
	}
	return out.String()
}

// measure adds the chunks of a block to sizes, and the rest of the block by number of series. It returns the size of the block.
func (s *sampleStore) measure(t *testing.T, b *tsdb.Block, sizes map[string]*sourceSize) int {
	t.Helper()
	ir, err := b.Index()
	if err != nil {
		t.Fatal(err)
	}
	defer ir.Close()
	cr, err := b.Chunks()
	if err != nil {
		t.Fatal(err)
	}
	defer cr.Close()
	name, value := index.AllPostingsKey()
	postings, err := ir.Postings(t.Context(), name, value)
	if err != nil {
		t.Fatal(err)
	}
	const framing = 2 + 1 + 4 // of a chunk in its segment: length, encoding, checksum
	builder := labels.NewScratchBuilder(16)
	var metas []chunks.Meta
	in, chunkBytes, series := map[string]int{}, 0, 0
	for postings.Next() {
		if err := ir.Series(postings.At(), &builder, &metas); err != nil {
			t.Fatal(err)
		}
		lset := builder.Labels()
		of := sourceOf(lset)
		g := sizes[of]
		if g == nil {
			g = &sourceSize{series: map[string]bool{}}
			sizes[of] = g
		}
		g.series[lset.String()] = true
		in[of]++
		series++
		for _, m := range metas {
			c, _, err := cr.ChunkOrIterable(m)
			if err != nil {
				t.Fatal(err)
			}
			g.samples += c.NumSamples()
			g.bytes += float64(len(c.Bytes()) + framing)
			g.chunks += float64(len(c.Bytes()) + framing)
			chunkBytes += len(c.Bytes()) + framing
		}
	}
	if err := postings.Err(); err != nil {
		t.Fatal(err)
	}
	for of, n := range in {
		sizes[of].bytes += float64(b.Size()-int64(chunkBytes)) * float64(n) / float64(series)
	}
	return int(b.Size())
}

// sourceOf names what a series is about: a GPU, an engine, or the worker.
func sourceOf(l labels.Labels) string {
	switch instance := l.Get("model_instance_name"); {
	case l.Has("gpu_index") || l.Has("uuid"):
		return "GPUs"
	case instance != "":
		return instance
	case strings.HasPrefix(l.Get("__name__"), "go_"), strings.HasPrefix(l.Get("__name__"), "process_"):
		return "process"
	}
	return "worker"
}

// finishHead writes all samples of a short run to a block and returns what they take.
func (s *sampleStore) finishHead(t *testing.T) string {
	t.Helper()
	head := s.db.Head()
	if err := s.db.CompactHead(tsdb.NewRangeHead(head, head.MinTime(), head.MaxTime())); err != nil {
		t.Fatal(err)
	}
	sizes, all := map[string]*sourceSize{}, sourceSize{series: map[string]bool{}}
	for _, b := range s.db.Blocks() {
		s.measure(t, b, sizes)
	}
	chunksOnly := 0.0
	for _, g := range sizes {
		all.samples += g.samples
		chunksOnly += g.chunks
		maps.Copy(all.series, g.series)
	}
	return fmt.Sprintf("%d series, %.2f bytes a sample in chunks", len(all.series), chunksOnly/float64(all.samples))
}
