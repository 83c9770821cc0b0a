package viewer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 256 << 20

// Prometheus is where questions go.
type Prometheus struct {
	URL    string // of the API's root: http://127.0.0.1:8080/prometheus
	Client *http.Client
	// Stats asks for the number of samples that queries touch.
	Stats bool
}

// Request is a query.
type Request struct {
	Expr       string
	Instant    bool
	Start, End time.Time
	Step       time.Duration
}

// Answer is what Prometheus says to a query.
type Answer struct {
	Series          []Series
	Warnings, Infos []string
	Touched, Peak   int64 // samples, with Prometheus.Stats
	Bytes           int64
}

// Series is one series of an answer.
type Series struct {
	Labels map[string]string
	Values []float64
}

// Numbers counts the values that are numbers.
func (a Answer) Numbers() (n int) {
	for _, s := range a.Series {
		for _, v := range s.Values {
			if !math.IsNaN(v) {
				n++
			}
		}
	}
	return n
}

type body struct {
	Status   string          `json:"status"`
	Error    string          `json:"error"`
	Warnings []string        `json:"warnings"`
	Infos    []string        `json:"infos"`
	Data     json.RawMessage `json:"data"`
}

func (p Prometheus) get(ctx context.Context, path string, form url.Values) (_ body, size int64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL+"/api/v1/"+path, strings.NewReader(form.Encode()))
	if strings.HasPrefix(path, "label/") {
		req, err = http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/api/v1/"+path+"?"+form.Encode(), nil)
	}
	if err != nil {
		return body{}, 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := p.Client.Do(req)
	if err != nil {
		return body{}, 0, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return body{}, 0, err
	}
	var b body
	if err := json.Unmarshal(text, &b); err != nil {
		return body{}, 0, fmt.Errorf("status %d: %w: %.200s", resp.StatusCode, err, text)
	}
	if b.Status != "success" {
		return body{}, 0, fmt.Errorf("status %d: %s", resp.StatusCode, b.Error)
	}
	return b, int64(len(text)), nil
}

func stamp(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1e3, 'f', 3, 64) }

// Ask runs a query.
func (p Prometheus) Ask(ctx context.Context, r Request) (Answer, error) {
	form := url.Values{"query": {r.Expr}}
	path := "query"
	if r.Instant {
		form.Set("time", stamp(r.End))
	} else {
		path = "query_range"
		form.Set("start", stamp(r.Start))
		form.Set("end", stamp(r.End))
		form.Set("step", strconv.FormatFloat(r.Step.Seconds(), 'f', -1, 64))
	}
	if p.Stats {
		form.Set("stats", "true")
	}
	b, size, err := p.get(ctx, path, form)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Warnings: b.Warnings, Infos: b.Infos, Bytes: size}
	return a, a.decode(b.Data)
}

func (a *Answer) decode(text json.RawMessage) error {
	var data struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
		Stats      struct {
			Samples struct {
				Total int64 `json:"totalQueryableSamples"`
				Peak  int64 `json:"peakSamples"`
			} `json:"samples"`
		} `json:"stats"`
	}
	if err := json.Unmarshal(text, &data); err != nil {
		return err
	}
	a.Touched, a.Peak = data.Stats.Samples.Total, data.Stats.Samples.Peak
	if data.ResultType == "scalar" {
		var v point
		if err := json.Unmarshal(data.Result, &v); err != nil {
			return err
		}
		a.Series = []Series{{Values: []float64{float64(v)}}}
		return nil
	}
	var series []struct {
		Metric map[string]string `json:"metric"`
		Value  *point            `json:"value"`
		Values []point           `json:"values"`
	}
	if err := json.Unmarshal(data.Result, &series); err != nil {
		return fmt.Errorf("a %s: %w", data.ResultType, err)
	}
	for _, s := range series {
		if s.Value != nil {
			s.Values = append(s.Values, *s.Value)
		}
		out := Series{Labels: s.Metric, Values: make([]float64, len(s.Values))}
		for i, v := range s.Values {
			out.Values[i] = float64(v)
		}
		a.Series = append(a.Series, out)
	}
	return nil
}

// point is [time, "value"].
type point float64

// UnmarshalJSON implements json.Unmarshaler.
func (p *point) UnmarshalJSON(text []byte) error {
	_, quoted, ok := strings.Cut(strings.TrimSuffix(string(text), "]"), ",")
	if !ok {
		return fmt.Errorf("%s is no sample", text)
	}
	v, err := strconv.ParseFloat(strings.Trim(strings.TrimSpace(quoted), `"`), 64)
	*p = point(v)
	return err
}

// LabelValues returns the values of a label among series that match; an empty match is all.
func (p Prometheus) LabelValues(ctx context.Context, label, match string, from, to time.Time) ([]string, error) {
	form := url.Values{"start": {stamp(from)}, "end": {stamp(to)}}
	if match != "" {
		form.Set("match[]", match)
	}
	b, _, err := p.get(ctx, "label/"+url.PathEscape(label)+"/values", form)
	if err != nil {
		return nil, err
	}
	var values []string
	return values, json.Unmarshal(b.Data, &values)
}

// SeriesOf returns the label sets of the series that match.
func (p Prometheus) SeriesOf(ctx context.Context, match string, from, to time.Time) ([]map[string]string, error) {
	b, _, err := p.get(ctx, "series", url.Values{"start": {stamp(from)}, "end": {stamp(to)}, "match[]": {match}})
	if err != nil {
		return nil, err
	}
	var series []map[string]string
	return series, json.Unmarshal(b.Data, &series)
}
