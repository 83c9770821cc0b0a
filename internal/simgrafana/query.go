package simgrafana

import (
	"context"
	"crypto/tls"
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

// mostPoints is the most steps that a query may have.
const mostPoints = 11_000

// datasource returns a datasource to an administrator.
func (h *handler) datasource(w http.ResponseWriter, r *http.Request, _ user) {
	d, ok := h.provisioned.datasources[r.PathValue("uid")]
	if !ok {
		say(w, http.StatusNotFound, "Data source not found")
		return
	}
	secure := map[string]bool{}
	for name := range d.Secure {
		secure[name] = true
	}
	answer(w, http.StatusOK, map[string]any{
		"id": 1, "uid": d.UID, "orgId": max(1, d.OrgID), "name": d.Name, "type": d.Type, "access": d.Access, "url": d.URL, "isDefault": d.IsDefault,
		"readOnly": !d.Editable, "jsonData": d.JSON, "secureJsonFields": secure,
	})
}

func (h *handler) datasourceHealth(w http.ResponseWriter, r *http.Request, _ user) {
	d, ok := h.provisioned.datasources[r.PathValue("uid")]
	if !ok {
		say(w, http.StatusNotFound, "Data source not found")
		return
	}
	if _, err := d.ask(r.Context(), "query", url.Values{"query": {"1+1"}, "time": {seconds(time.Now())}}); err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"status": "ERROR", "message": err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "OK", "message": "Successfully queried the Prometheus API."})
}

// passOn proxies a request to the datasource unchanged.
func (h *handler) passOn(w http.ResponseWriter, r *http.Request, _ user) {
	d, ok := h.provisioned.datasources[r.PathValue("uid")]
	if !ok {
		say(w, http.StatusNotFound, "Unable to find datasource")
		return
	}
	resp, err := d.send(r.Context(), http.MethodGet, r.PathValue("path"), r.URL.Query())
	if err != nil {
		say(w, http.StatusBadGateway, "Bad Gateway")
		return
	}
	defer resp.Body.Close()
	w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

// send sends a request to the datasource's server, with the provisioned header and TLS settings.
func (d datasource) send(ctx context.Context, method, path string, values url.Values) (*http.Response, error) {
	address, body := strings.TrimSuffix(d.URL, "/")+"/"+path, ""
	if method == http.MethodPost {
		body = values.Encode()
	} else {
		address += "?" + values.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 1; ; i++ {
		name, _ := d.JSON["httpHeaderName"+strconv.Itoa(i)].(string)
		if name == "" {
			break
		}
		req.Header.Set(name, d.Secure["httpHeaderValue"+strconv.Itoa(i)])
	}
	skip, _ := d.JSON["tlsSkipVerify"].(bool)
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: skip}}
	return (&http.Client{Transport: transport}).Do(req)
}

type result struct {
	Metric map[string]string `json:"metric"`
	Value  []any             `json:"value"`
	Values [][]any           `json:"values"`
}

// ask sends a query to the datasource's Prometheus.
func (d datasource) ask(ctx context.Context, what string, values url.Values) ([]result, error) {
	if d.Type != "prometheus" || d.Access != "proxy" {
		return nil, fmt.Errorf("a datasource of type %q and access %q can't be asked", d.Type, d.Access)
	}
	method := http.MethodPost
	if set, _ := d.JSON["httpMethod"].(string); strings.EqualFold(set, http.MethodGet) {
		method = http.MethodGet
	}
	resp, err := d.send(ctx, method, "api/v1/"+what, values)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var page struct {
		Status, Error string
		Data          struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
		return nil, fmt.Errorf("%s: %w", resp.Status, err)
	}
	if page.Status != "success" {
		return nil, errors.New(page.Error)
	}
	if page.Data.ResultType == "scalar" || page.Data.ResultType == "string" {
		var value []any
		err := json.Unmarshal(page.Data.Result, &value)
		return []result{{Value: value}}, err
	}
	var results []result
	return results, json.Unmarshal(page.Data.Result, &results)
}

type query struct {
	RefID         string
	Datasource    struct{ UID string }
	Expr          string
	Instant       bool
	Range         bool
	IntervalMS    int64
	MaxDataPoints int64
}

// query answers the queries of a panel.
func (h *handler) query(w http.ResponseWriter, r *http.Request, _ user) {
	var given struct {
		Queries  []query
		From, To string
	}
	if err := json.NewDecoder(r.Body).Decode(&given); err != nil || len(given.Queries) == 0 {
		say(w, http.StatusBadRequest, "bad request data")
		return
	}
	now := time.Now()
	from, errFrom := parseTime(given.From, now)
	to, errTo := parseTime(given.To, now)
	if err := errors.Join(errFrom, errTo); err != nil {
		say(w, http.StatusBadRequest, err.Error())
		return
	}
	status, results := http.StatusOK, map[string]any{}
	for _, q := range given.Queries {
		d, ok := h.provisioned.datasources[q.Datasource.UID]
		if !ok {
			say(w, http.StatusNotFound, "Data source not found")
			return
		}
		frames, err := q.answer(r.Context(), d, from, to)
		if err != nil {
			status = http.StatusBadRequest
			results[q.RefID] = map[string]any{"error": err.Error(), "errorSource": "downstream", "status": http.StatusBadRequest}
			continue
		}
		results[q.RefID] = map[string]any{"status": http.StatusOK, "frames": frames}
	}
	answer(w, status, map[string]any{"results": results})
}

// answer runs an instant query, a range query, or both, as the query says. The default is a range query.
func (q query) answer(ctx context.Context, d datasource, from, to time.Time) (frames []any, err error) {
	var results []result
	if q.Instant {
		if results, err = d.ask(ctx, "query", url.Values{"query": {q.Expr}, "time": {seconds(to)}}); err != nil {
			return nil, err
		}
	}
	if q.Range || !q.Instant {
		step := max(time.Duration(q.IntervalMS)*time.Millisecond, to.Sub(from)/mostPoints, time.Second)
		more, err := d.ask(ctx, "query_range", url.Values{
			"query": {q.Expr}, "start": {seconds(from)}, "end": {seconds(to)}, "step": {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)},
		})
		if err != nil {
			return nil, err
		}
		results = append(results, more...)
	}
	frames = []any{}
	for _, s := range results {
		frames = append(frames, s.frame(q.RefID))
	}
	return frames, nil
}

// frame is a series in the format that Grafana sends to a browser.
func (s result) frame(refID string) any {
	times, values := []int64{}, []any{}
	if s.Value != nil {
		s.Values = append(s.Values, s.Value)
	}
	for _, pair := range s.Values {
		at, _ := pair[0].(float64)
		text, _ := pair[1].(string)
		times = append(times, int64(at*1000))
		if v, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			values = append(values, v)
		} else {
			values = append(values, nil)
		}
	}
	return map[string]any{
		"schema": map[string]any{"refId": refID, "fields": []any{
			map[string]any{"name": "Time", "type": "time"}, map[string]any{"name": "Value", "type": "number", "labels": s.Metric},
		}},
		"data": map[string]any{"values": []any{times, values}},
	}
}

func seconds(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

// parseTime parses milliseconds since 1970, "now", and times such as "now-5m".
func parseTime(s string, now time.Time) (time.Time, error) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.UnixMilli(ms), nil
	}
	rest, ok := strings.CutPrefix(s, "now")
	if !ok {
		return time.Time{}, fmt.Errorf("time %q", s)
	}
	if rest == "" {
		return now, nil
	}
	d, err := time.ParseDuration(rest)
	return now.Add(d), err
}
