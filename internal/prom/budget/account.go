package budget

import "sync"

// Account holds amounts of memory up to a bound, without waiting.
type Account struct {
	bound int64

	mu   sync.Mutex
	held int64
}

// NewAccount returns an account of so many bytes.
func NewAccount(bound int64) *Account { return &Account{bound: bound} }

// Hold takes some bytes until they are released; nil when there is no room.
func (a *Account) Hold(bytes int64) *Amount {
	a.mu.Lock()
	defer a.mu.Unlock()
	if bytes > a.bound-a.held {
		return nil
	}
	a.held += bytes
	return &Amount{account: a, bytes: bytes}
}

// Held returns how much is taken.
func (a *Account) Held() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held
}

// Amount is what an account holds for one answer.
type Amount struct {
	account *Account
	bytes   int64
}

// Release gives it back. It may be called more than once, by one goroutine at a time, and for nil.
func (a *Amount) Release() {
	if a == nil || a.bytes == 0 {
		return
	}
	a.account.mu.Lock()
	defer a.account.mu.Unlock()
	a.account.held -= a.bytes
	a.bytes = 0
}
