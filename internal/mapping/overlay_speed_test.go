package mapping

import "testing"

func BenchmarkDecodeDefault(b *testing.B) { benchmarkDecode(b, mustJSON(b, Default())) }

func BenchmarkDecodeOverlay(b *testing.B) {
	doc, err := mustDecode(b, nineLines).AsOverlay()
	if err != nil {
		b.Fatal(err)
	}
	benchmarkDecode(b, mustJSON(b, doc))
}

// benchmarkDecode decodes and compiles, as a server does with a posted document.
func benchmarkDecode(b *testing.B, data []byte) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		doc, err := Decode(data)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Compile(doc); err != nil {
			b.Fatal(err)
		}
	}
}

func mustJSON(tb testing.TB, doc *Document) []byte {
	tb.Helper()
	data, err := doc.MarshalJSON()
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// A server decodes overlays as fast as the whole document that they come to.
func TestDecode_OverlayAllocates(t *testing.T) {
	overlay, err := mustDecode(t, nineLines).AsOverlay()
	if err != nil {
		t.Fatal(err)
	}
	allocations := func(data []byte) float64 {
		return testing.AllocsPerRun(5, func() {
			doc, err := Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Compile(doc); err != nil {
				t.Fatal(err)
			}
		})
	}
	of, than := allocations(mustJSON(t, overlay)), allocations(mustJSON(t, Default()))
	if of > 1.5*than {
		t.Errorf("%.0f allocations, the built-in document has %.0f", of, than)
	}
}
