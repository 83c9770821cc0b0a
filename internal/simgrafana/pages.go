package simgrafana

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// page serves the same page for every path.
func (h *handler) page(w http.ResponseWriter, r *http.Request) {
	if _, refused := h.identify(r); refused != "" && r.URL.Path != "/login" {
		http.Redirect(w, r, h.subPath+"/login", http.StatusFound)
		return
	}
	text, err := os.ReadFile(filepath.Join(h.home, "public", "views", "index.html"))
	if err != nil {
		http.Error(w, "Failed to load the page", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	_, _ = io.WriteString(w, strings.Replace(string(text), `<base href="BASE">`, `<base href="`+h.subPath+`/" />`, 1))
}

// live accepts a WebSocket and ignores its messages.
func (h *handler) live(w http.ResponseWriter, r *http.Request, _ user) {
	if !h.mayListen(r) {
		http.Error(w, "request Origin is not authorized", http.StatusForbidden)
		return
	}
	key := r.Header.Get("Sec-Websocket-Key")
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || r.Header.Get("Sec-Websocket-Version") != "13" || key == "" {
		http.Error(w, "Bad Request", http.StatusBadRequest)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	_, _ = io.Copy(io.Discard, buffered)
}

// mayListen reports whether a page may open a WebSocket: its origin must be the request's host with port, or that of the root URL.
func (h *handler) mayListen(r *http.Request) bool {
	origin := strings.ToLower(r.Header.Get("Origin"))
	if origin == "" || slices.Contains(strings.Fields(h.settings.get("live", "allowed_origins")), origin) {
		return true
	}
	from, err := url.Parse(origin)
	if err != nil {
		return false
	}
	return strings.EqualFold(from.Host, r.Host) || from.Scheme == h.root.Scheme && from.Host == h.root.Host
}
