package translate

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash/maphash"
	"maps"
	"slices"
	"sync"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// OtherUsers is the value of label user that stands for all users beyond the limit.
const OtherUsers = "other"

// Bounds of Users.
const (
	// MaxUsers bounds the limit of Users.
	MaxUsers = 100_000
	// maxUserBytes bounds a name that is kept.
	maxUserBytes = 256
	// maxFoldedUsers bounds the names beyond the limit that are remembered and counted.
	maxFoldedUsers = 128 << 10
	// hashedUserBytes is how much of a hash replaces a name.
	hashedUserBytes = 8
)

// Users decides about the values of label user in an engine's samples. With a limit of 2, users ann, bob, cid and dan become
// ann, bob, other and other, and the series of other are added up. A decision about a name is never revised, so that no
// counter decreases. Users is safe for concurrent use; all Results of an engine share one.
type Users struct {
	limit int
	key   []byte

	mu     sync.Mutex
	seed   maphash.Seed
	kept   map[string]string // by name: the value of label user
	folded map[uint64]bool   // hashes of names
}

// NewUsers returns Users that keep up to limit names, at most MaxUsers. With a key, a name is replaced by the first 16
// hexadecimal digits of its HMAC-SHA-256.
func NewUsers(limit int, key []byte) *Users {
	return &Users{limit: min(max(0, limit), MaxUsers), key: key, seed: maphash.MakeSeed(), kept: map[string]string{}, folded: map[uint64]bool{}}
}

// Clone returns a copy with the same decisions. What the copy decides later does not affect u.
func (u *Users) Clone() *Users {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return &Users{limit: u.limit, key: u.key, seed: u.seed, kept: maps.Clone(u.kept), folded: maps.Clone(u.folded)}
}

// Counts returns how many names are kept and how many are folded into OtherUsers, the latter up to 131,072.
func (u *Users) Counts() (kept, folded int) {
	if u == nil {
		return 0, 0
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.kept), len(u.folded)
}

// lookup returns the value of label user for a name, and whether it is OtherUsers.
func (u *Users) lookup(name []byte) (shown string, fold bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if shown, ok := u.kept[string(name)]; ok {
		return shown, false
	}
	if len(u.kept) < u.limit && len(name) <= maxUserBytes && (u.key != nil || string(name) != OtherUsers) {
		known := u.folded[maphash.Bytes(u.seed, name)]
		if !known {
			shown = string(name)
			if u.key != nil {
				h := hmac.New(sha256.New, u.key)
				_, _ = h.Write(name)
				shown = hex.EncodeToString(h.Sum(nil)[:hashedUserBytes])
			}
			u.kept[string(name)] = shown
			return shown, false
		}
	}
	if len(u.folded) < maxFoldedUsers && string(name) != OtherUsers {
		u.folded[maphash.Bytes(u.seed, name)] = true
	}
	return OtherUsers, true
}

// areHashed reports whether names are replaced by hashes.
func (u *Users) areHashed() bool { return u != nil && u.key != nil }

// rewriteLabels replaces the values of labels that name users, and notes in the template whether samples are added up. Quantiles
// cannot be added up and are omitted.
func (u *Users) rewriteLabels(lt *labelTemplate, labels []exposition.Label) []exposition.Label {
	if !slices.ContainsFunc(labels, namesUser) {
		return labels
	}
	labels = slices.Clone(labels)
	for i := range labels {
		if !namesUser(labels[i]) {
			continue
		}
		shown, fold := u.lookup(exposition.Unescape(nil, labels[i].Value))
		labels[i].Value = exposition.AppendLabelValue(nil, shown)
		if fold {
			lt.sum, lt.folded = true, true
			lt.skip = lt.skip || hasName(labels, labelQuantile)
		}
	}
	return labels
}

// namesUser reports whether a label names a user: user, or exported_user if the mapping sets another label user.
func namesUser(l exposition.Label) bool {
	name := l.Name
	for {
		rest, ok := bytes.CutPrefix(name, []byte(prefixExported))
		if !ok {
			return string(name) == catalog.LabelUser && len(l.Value) > 0
		}
		name = rest
	}
}
