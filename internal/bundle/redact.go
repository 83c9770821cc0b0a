// Package bundle makes the archive that a maintainer gets with a bug report. What stays readable in it is on a list: words of the programs'
// own texts, numbers, versions, names of metrics and labels. Everything else becomes a hash, of which only this bundle knows the key.
package bundle

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kinds of what became a hash.
const (
	Cluster  = "cluster"
	Worker   = "worker"
	Model    = "model"
	Instance = "instance"
	Host     = "host"
	User     = "user"
	Path     = "path"
	Text     = "text"
	Value    = "value" // of a label
)

// Name is a name that is hashed wherever it stands, also where it is a word that stays otherwise.
type Name struct{ Kind, Text string }

// Redactor replaces what may be secret or personal. The same text becomes the same hash everywhere in a bundle.
type Redactor struct {
	key    [32]byte
	kinds  map[string]string   // of names
	begins map[string][]string // names by the first word in them, in lower case, the longest first
	stays  map[string]bool     // words besides the vocabulary
}

// commonValue is what says nothing as a name, such as of the label rack=7, and is a number or a bool everywhere else.
var commonValue = regexp.MustCompile(`^(?:[0-9]{1,3}|true|false)$`)

// defaultName is the name of the cluster that every server has.
const defaultName = "default"

// NewRedactor returns a Redactor with a key of its own. Of names that several things have, the first kind counts. Metrics are names that
// stay in texts.
func NewRedactor(names []Name, metrics []string) *Redactor {
	r := &Redactor{kinds: make(map[string]string, len(names)), begins: make(map[string][]string, len(names)), stays: make(map[string]bool, len(metrics))}
	_, _ = rand.Read(r.key[:]) // never fails
	for _, n := range names {
		if n.Text == "" || n.Text == defaultName || r.kinds[n.Text] != "" || everyHost(n.Text) || commonValue.MatchString(n.Text) {
			continue
		}
		r.kinds[n.Text] = n.Kind
		if first := strings.ToLower(firstWord(n.Text)); first != "" {
			r.begins[first] = append(r.begins[first], n.Text)
		}
	}
	for _, list := range r.begins {
		slices.SortFunc(list, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	}
	for _, m := range metrics {
		r.stays[m] = true
	}
	return r
}

var hashText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Hash returns KIND-xxxxxxxx for a text; the kind is the name's if it is one. An empty text stays empty.
func (r *Redactor) Hash(kind, text string) string {
	if text == "" {
		return ""
	}
	if known := r.kinds[text]; known != "" {
		kind = known
	}
	mac := hmac.New(sha256.New, r.key[:])
	mac.Write([]byte(text))
	return kind + "-" + hashText.EncodeToString(mac.Sum(nil))[:8]
}

func letterOrDigit(c rune) bool {
	return unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.Is(unicode.M, c)
}

// firstWord is what s begins with: letters and digits.
func firstWord(s string) string {
	if end := strings.IndexFunc(s, func(c rune) bool { return !letterOrDigit(c) }); end >= 0 {
		return s[:end]
	}
	return s
}

// nameAt returns the name that s begins with, in any letter case.
func (r *Redactor) nameAt(s string) (name string, length int) {
	first := firstWord(s)
	if first == "" {
		return "", 0
	}
	for _, name := range r.begins[strings.ToLower(first)] {
		if len(name) > len(s) || !strings.EqualFold(s[:len(name)], name) {
			continue
		}
		if after, _ := utf8.DecodeRuneInString(s[len(name):]); len(s) == len(name) || !letterOrDigit(after) {
			return name, len(name)
		}
	}
	return "", 0
}

var (
	// A number with the units of times, sizes and shares. Longer numbers may be secrets or say who somebody is.
	plainNumber = regexp.MustCompile(`^[+-]?(?:[0-9]{1,6}(?:\.[0-9]{1,6})?(?:ns|us|µs|ms|s|m|h|d|w|y|%|B|[KMGT]i?B)?|(?:[0-9]{1,6}(?:\.[0-9]{1,9})?(?:ns|us|µs|ms|s|m|h)){1,6})$`)
	floatNumber = regexp.MustCompile(`^(?:[+-]?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,3})?|[+-]?Inf|NaN)$`)
	// A version, also that of a build between two releases: v0.1.0-0.20260102030405-0123456789ab.
	versionForm = regexp.MustCompile(`^(?:v|go)?[0-9]{1,4}(?:\.[0-9]{1,4}){1,3}(?:[.+-]?(?:rc|a|b|alpha|beta|dev|post|cu|rocm)[.-]?[0-9]{0,4}){0,2}(?:-(?:0\.)?[0-9]{14}-[0-9a-f]{12})?(?:\+dirty)?$`)
	llamaBuild  = regexp.MustCompile(`^b[0-9]{3,6}$`) // a version of llama.cpp
	timestamp   = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2}))?$`)
	hostPort    = regexp.MustCompile(`^([^:/@]+):([0-9]{1,5})$`)
	flagName    = regexp.MustCompile(`^--?[a-z]+(?:[.-][a-z]+)*$`)
	shortFlag   = regexp.MustCompile(`^-[a-zA-Z]$`)
)

// isVersion reports whether s is a version; an IP address is none.
func isVersion(s string) bool {
	_, err := netip.ParseAddr(s)
	return err != nil && (versionForm.MatchString(s) || llamaBuild.MatchString(s))
}

// llamaCpp is the one runtime of the built-in mapping whose name has not the form of a word.
const llamaCpp = "llama.cpp"

// word reports whether a word stays as it is.
func (r *Redactor) word(w string) bool {
	return r.kinds[w] == "" && (vocabulary()[strings.ToLower(w)] || w == llamaCpp || r.stays[w])
}

// identifierName returns the name of a metric or a label with the names in it hashed, unless they are words of the programs' own texts, too.
func (r *Redactor) identifierName(s string) string {
	if r.stays[s] {
		return s
	}
	var b strings.Builder
	boundary := true
	for s != "" {
		if boundary {
			if name, n := r.nameAt(s); n > 0 && !vocabulary()[strings.ToLower(name)] {
				b.WriteString(strings.ReplaceAll(r.Hash(Text, name), "-", "_"))
				s, boundary = s[n:], false
				continue
			}
		}
		c, size := utf8.DecodeRuneInString(s)
		b.WriteString(s[:size])
		s, boundary = s[size:], !letterOrDigit(c)
	}
	return b.String()
}

// Text returns a text, such as an error, with all that is not a number, a time, a version or a word of the programs' own texts replaced by
// hashes. Quoted parts are replaced as a whole.
func (r *Redactor) Text(s string) string {
	var b strings.Builder
	boundary := true // a name may begin here
	for len(s) > 0 {
		c, size := utf8.DecodeRuneInString(s)
		if boundary && letterOrDigit(c) {
			if name, n := r.nameAt(s); n > 0 {
				b.WriteString(r.Hash(r.kinds[name], name))
				s, boundary = s[n:], false
				continue
			}
		}
		switch {
		case c == '"' || c == '`' || c == '\'' && boundary:
			inner, rest, ok := cutQuoted(s)
			if !ok && c == '\'' {
				b.WriteByte('\'')
				s = s[1:]
				continue
			}
			b.WriteString(string(c) + r.Hash(Text, inner) + string(c))
			s, boundary = rest, true
		case joins(c):
			end := strings.IndexFunc(s, func(c rune) bool { return !joins(c) })
			if end < 0 {
				end = len(s)
			}
			b.WriteString(r.token(s[:end]))
			s, boundary = s[end:], false
		default:
			if c < ' ' || !unicode.IsPrint(c) {
				c = ' '
			}
			b.WriteRune(c)
			s, boundary = s[size:], true
		}
	}
	return b.String()
}

// cutQuoted cuts s behind the quotation mark that ends what s begins with. Without one, all the rest is taken to be quoted, unless the mark
// is one that also stands for an apostrophe.
func cutQuoted(s string) (inner, rest string, ok bool) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			return s[1:i], s[i+1:], true
		}
	}
	return s[1:], "", false
}

// joins reports whether a character is part of a token, which addresses, paths and compound words are.
func joins(c rune) bool {
	return letterOrDigit(c) || strings.ContainsRune("_-./:@%+=~#&?$*\\!^", c)
}

// token returns what becomes of a word with what is written together with it.
func (r *Redactor) token(t string) string {
	if t == "" {
		return ""
	}
	if t[0] == ':' {
		if len(t) == 1 {
			return t
		}
		return ":" + r.token(t[1:])
	}
	const around = ".:!?-=*+&#"
	core := strings.TrimRight(t, around)
	after := t[len(core):]
	if core == "" {
		return t
	}
	if r.kinds[core] == "" {
		if r.word(core) || plainNumber.MatchString(core) || plainNumber.MatchString(core+after) || isVersion(core) || timestamp.MatchString(core) {
			return t
		}
		if shortFlag.MatchString(core) || flagName.MatchString(core) && r.flag(core) {
			return t
		}
	}
	switch {
	case r.kinds[core] != "":
		return r.Hash(Text, core) + after
	case strings.Contains(core, "://"):
		return r.URL(core) + after
	case flagName.MatchString(strings.SplitN(core, "=", 2)[0]) && strings.Contains(core, "="),
		!strings.ContainsAny(core, "/@\\") && strings.Contains(core, "="):
		key, value, _ := strings.Cut(core, "=")
		return r.token(key) + "=" + r.token(value) + after
	case strings.Contains(core, "@"):
		return r.Hash(User, core) + after
	}
	if m := hostPort.FindStringSubmatch(core); m != nil {
		return r.host(m[1]) + ":" + m[2] + after
	}
	if ip, err := netip.ParseAddr(strings.Trim(core, "[]")); err == nil {
		return r.host(ip.String()) + after
	}
	switch {
	case strings.ContainsAny(core, "/\\~"):
		return r.path(core) + after
	case strings.Trim(core, ".-") != core || strings.Contains(core, "."):
		return r.Hash(Host, core) + after
	}
	return r.Hash(Text, core) + after
}

// flag reports whether a flag's name is one of the programs', or every part of it is a word.
func (r *Redactor) flag(name string) bool {
	if bare, ok := strings.CutPrefix(name, "--"); ok && vocabulary()[bare] {
		return true // also where a part of it is somebody's name, such as root
	}
	for part := range strings.FieldsFuncSeq(name, func(c rune) bool { return c == '-' || c == '.' }) {
		if !r.word(part) {
			return false
		}
	}
	return strings.HasPrefix(name, "--")
}

// everyHost reports whether a host is one that every machine has.
func everyHost(h string) bool {
	return slices.Contains([]string{"localhost", "127.0.0.1", "::1", "[::1]", "0.0.0.0", "::", "[::]"}, h)
}

// host returns the hash of a host; those that every machine has stay.
func (r *Redactor) host(h string) string {
	if everyHost(h) {
		return h
	}
	return r.Hash(Host, h)
}

// knownPaths are those of the programs' own pages.
var knownPaths = []string{"/", "/metrics", "/metrics/raw", "/metrics/targets", "/healthz", "/readyz", "/version", "/prometheus", "/grafana", "/v1/models", "/proc", "/sys", "/dev"}

func (r *Redactor) path(p string) string {
	if slices.Contains(knownPaths, p) {
		return p
	}
	return r.Hash(Path, p)
}

// URL returns a URL of which the scheme and the port stay.
func (r *Redactor) URL(u string) string {
	scheme, rest, ok := strings.Cut(u, "://")
	if !ok {
		return r.Hash(Text, u)
	}
	if !slices.Contains([]string{"http", "https", "unix", "tcp"}, scheme) {
		return r.Hash(Text, u)
	}
	out := scheme + "://"
	end := strings.IndexAny(rest, "/?#\\")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		authority = authority[at+1:] // credentials leave no hash either
		out += "...@"
	}
	host, port, err := net.SplitHostPort(authority)
	if err != nil || len(port) > 5 || strings.Trim(port, "0123456789") != "" {
		host, port = authority, ""
	}
	if host != "" {
		out += r.host(host)
	}
	if port != "" {
		out += ":" + port
	}
	path, query, _ := strings.Cut(tail, "?")
	switch kept := r.path(path); {
	case path == "":
	case kept == path:
		out += path
	default:
		out += "/" + kept
	}
	if query != "" {
		out += "?..."
	}
	return out
}
