package server

import (
	"strings"
	"testing"
)

// An answer of which the Prometheus may have left out series is no answer: they would be taken for absent.
func TestDoctorTakesWholeAnswers(t *testing.T) {
	for n, want := range map[int]string{2: "", maxQuerySamples: "its answer has 20000 series or more"} {
		w := new(boundedAnswer)
		series := strings.TrimSuffix(strings.Repeat(`{"metric":{"worker_id":"1"},"value":[1,"2"]},`, n), ",")
		if _, err := w.Write([]byte(`{"status":"success","data":{"resultType":"vector","result":[` + series + `]}}`)); err != nil {
			t.Fatal(err)
		}
		samples, problem := w.samples()
		if problem != want || problem == "" && (len(samples) != n || samples[0].Value != 2 || samples[0].Labels["worker_id"] != "1") {
			t.Errorf("%d series: %d samples, %q", n, len(samples), problem)
		}
	}
}
