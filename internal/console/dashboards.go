package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/stackscope/stackscope/dashboards"
	"github.com/stackscope/stackscope/internal/base/httpjson"
)

const jsonType = "application/json"

// listed is a dashboard in the list.
type listed struct {
	UID         string `json:"uid"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Slug        string `json:"slug"`
}

func (c *Console) encodeList() (*asset, error) {
	list := struct {
		Items []listed `json:"items"`
	}{Items: []listed{}}
	for _, d := range c.opts.Dashboards() {
		list.Items = append(list.Items, listed{d.UID, d.Title, d.Description, slug(d.Title)})
	}
	return document(list)
}

// document returns v as JSON.
func document(v any) (*asset, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return &asset{contentType: jsonType, read: func() ([]byte, error) { return b.Bytes(), nil }}, nil
}

func (c *Console) serveList(w http.ResponseWriter, r *http.Request) {
	list, err := c.list()
	serveDocument(w, r, list, err)
}

// serveDashboard answers with what the console draws of a dashboard.
func (c *Console) serveDashboard(w http.ResponseWriter, r *http.Request) {
	uid := r.PathValue("uid")
	view, known, err := c.view(uid)
	if view == nil && err == nil {
		w.Header().Set("Cache-Control", "no-store")
		_ = httpjson.WriteProblem(w, httpjson.Problem{
			Status: http.StatusNotFound,
			Detail: fmt.Sprintf("the console has no dashboard with the uid %.100q; it has %s", uid, strings.Join(known, ", ")),
		})
		return
	}
	serveDocument(w, r, view, err)
}

// view returns a dashboard's document, nil if there is none, and then the UIDs that there are.
func (c *Console) view(uid string) (view *asset, known []string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.views[uid]; a != nil {
		return a, nil, nil
	}
	all := c.opts.Dashboards()
	find := func(uid string) int {
		return slices.IndexFunc(all, func(d dashboards.Dashboard) bool { return d.UID == uid })
	}
	at := find(uid)
	if at < 0 {
		at = find(c.opts.Aliases[uid])
	}
	if at < 0 {
		for _, d := range all {
			known = append(known, d.UID)
		}
		return nil, known, nil
	}
	if view = c.views[all[at].UID]; view == nil {
		if view, err = document(all[at].View()); err != nil {
			return nil, nil, fmt.Errorf("dashboard %s: %w", all[at].UID, err)
		}
		c.views[all[at].UID] = view
	}
	c.views[uid] = view
	return view, nil, nil
}

func serveDocument(w http.ResponseWriter, r *http.Request, a *asset, err error) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err != nil {
		w.Header().Set("Cache-Control", "no-store")
		_ = httpjson.WriteProblem(w, httpjson.Problem{Status: http.StatusInternalServerError, Detail: err.Error()})
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	a.ServeHTTP(w, r)
}

// slug returns a title as the last part of a dashboard's address, as Grafana writes it: "GPU health" becomes "gpu-health".
func slug(title string) string {
	words := strings.FieldsFunc(strings.ToLower(title), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return strings.Join(words, "-")
}
