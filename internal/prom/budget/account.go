package budget

import "sync"

// Account reserves amounts of memory up to a bound. It never waits.
type Account struct {
	bound int64

	mu   sync.Mutex
	held int64
}

// NewAccount returns an account of bound bytes.
func NewAccount(bound int64) *Account { return &Account{bound: bound} }

// Hold reserves bytes until they are released. It returns nil if they would exceed the bound.
func (a *Account) Hold(bytes int64) *Amount {
	a.mu.Lock()
	defer a.mu.Unlock()
	if bytes > a.bound-a.held {
		return nil
	}
	a.held += bytes
	return &Amount{account: a, bytes: bytes}
}

// Held returns the reserved bytes.
func (a *Account) Held() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held
}

// Amount is a reservation of an Account.
type Amount struct {
	account *Account
	bytes   int64
}

// Release ends the reservation. It may be called more than once, by one goroutine at a time, and on nil.
func (a *Amount) Release() {
	if a == nil || a.bytes == 0 {
		return
	}
	a.account.mu.Lock()
	defer a.account.mu.Unlock()
	a.account.held -= a.bytes
	a.bytes = 0
}
