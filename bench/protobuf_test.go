package bench

import (
	"bytes"
	"errors"
	"io"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/translate"
)

// BenchmarkProtobuf tells what it would cost to ask engines for protobuf instead of text: reading the messages of a page, before
// anything is translated, beside translating the text as a whole. sent is the size of the page.
func BenchmarkProtobuf(b *testing.B) {
	m := compiled(b)
	for _, p := range pages {
		texts := Pages(p.ranks, p.created)
		var binary [][]byte
		for _, text := range texts {
			binary = append(binary, delimited(b, text))
		}
		b.Run("read protobuf/"+p.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				decoder := expfmt.NewDecoder(bytes.NewReader(binary[i%len(binary)]), expfmt.NewFormat(expfmt.TypeProtoDelim))
				for {
					var family dto.MetricFamily
					if err := decoder.Decode(&family); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(len(binary[0])), "sent")
		})
		b.Run("translate text/"+p.name, func(b *testing.B) {
			way := newOurs(m)
			for _, text := range texts {
				if _, err := way.Translate(text); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := way.Translate(texts[i%len(texts)]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(texts[0])), "sent")
		})
		// The first page of an engine, of which nothing is known.
		b.Run("translate text, first page/"+p.name, func(b *testing.B) {
			plan, source := m.Plan("vLLM", version), translate.NewSource(identity)
			b.ReportAllocs()
			for b.Loop() {
				var r translate.Result
				var w exposition.Writer
				r.Translate(texts[0], translate.Text, plan, source)
				translate.Merge(&w, plan.Families(), &r)
			}
			b.ReportMetric(float64(len(texts[0])), "sent")
		})
	}
}

// delimited returns a page as protobuf has it.
func delimited(b *testing.B, text []byte) []byte {
	b.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	encoder := expfmt.NewEncoder(&out, expfmt.NewFormat(expfmt.TypeProtoDelim))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			b.Fatal(err)
		}
	}
	return out.Bytes()
}
