package grafana

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/stackscope/stackscope/dashboards"
)

const maxAnswer = 256 << 10

func newHealthClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil}, // a connection that hangs must not be used for the next check
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// dashboardUIDs returns those that we provision.
var dashboardUIDs = sync.OnceValue(func() (uids []string) {
	for _, d := range dashboards.All() {
		uids = append(uids, d.UID)
	}
	return uids
})

// provisioned reports whether an anonymous viewer finds all our dashboards. Grafana answers before it has taken them up, and
// until then opening one fails. Where viewers must log in nothing can be seen, and true is the answer.
func (g *Grafana) provisioned(ctx context.Context, addr string) bool {
	status, body, err := g.get(ctx, addr, "/api/search", url.Values{"type": {"dash-db"}, "dashboardUIDs": dashboardUIDs()}, g.timing.deadline)
	if err != nil || status != http.StatusOK {
		return true
	}
	var found []struct{ UID string }
	if err := json.Unmarshal(body, &found); err != nil {
		return true
	}
	return !slices.ContainsFunc(dashboardUIDs(), func(uid string) bool {
		return !slices.ContainsFunc(found, func(d struct{ UID string }) bool { return d.UID == uid })
	})
}

// check asks the Grafana at addr how it is, and for its version.
func (g *Grafana) check(ctx context.Context, addr string, within time.Duration) (version string, err error) {
	status, body, err := g.get(ctx, addr, "/api/health", nil, within)
	if err != nil {
		return "", err
	}
	said := strconv.Itoa(status) + " " + http.StatusText(status)
	var answer struct{ Database, Version string }
	if err := json.Unmarshal(body, &answer); err != nil || answer.Database == "" {
		return "", fmt.Errorf("it answers %s to /api/health, and not as a Grafana does", said)
	}
	if status != http.StatusOK {
		return "", fmt.Errorf("it answers %s: its database is %s", said, oneLine(answer.Database, 100))
	}
	return oneLine(answer.Version, 100), nil
}

// get reads one page of the Grafana at addr.
func (g *Grafana) get(ctx context.Context, addr, path string, query url.Values, within time.Duration) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	u := url.URL{Scheme: "http", Host: addr, Path: g.served + path, RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := g.client.Do(request)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return 0, nil, fmt.Errorf("no answer within %s", within)
		}
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return 0, nil, fmt.Errorf("its answer breaks off: %w", err)
	}
	return response.StatusCode, body, nil
}
