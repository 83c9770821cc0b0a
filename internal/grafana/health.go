package grafana

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const maxHealthAnswer = 64 << 10

func newHealthClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil}, // a connection that hangs must not be used for the next check
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// check asks the Grafana at addr how it is, and for its version.
func (g *Grafana) check(ctx context.Context, addr string, within time.Duration) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	u := url.URL{Scheme: "http", Host: addr, Path: g.served + "/api/health"}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	response, err := g.client.Do(request)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return "", fmt.Errorf("no answer within %s", within)
		}
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxHealthAnswer))
	if err != nil {
		return "", fmt.Errorf("its answer breaks off: %w", err)
	}
	var answer struct{ Database, Version string }
	if err := json.Unmarshal(body, &answer); err != nil || answer.Database == "" {
		return "", fmt.Errorf("it answers %s to /api/health, and not as a Grafana does", response.Status)
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("it answers %s: its database is %s", response.Status, oneLine(answer.Database, 100))
	}
	return oneLine(answer.Version, 100), nil
}
