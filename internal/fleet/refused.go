package fleet

import "time"

// Reasons for which a registration is refused.
const (
	RefusedNameTaken  = "name_taken"  // ErrNameTaken
	RefusedTwoWorkers = "two_workers" // ErrTwoWorkers
	RefusedRevoked    = "revoked"     // ErrRevoked
	RefusedInvalid    = "invalid"     // ErrInvalid, a limit included
)

// RefusedRegistration is a worker that wanted to join and was refused, once or again and again.
type RefusedRegistration struct {
	Last    time.Time
	Count   int
	Name    string // that it has
	Cluster string // that it wanted to join
	Address string // under which it wanted to be scraped, host:port
	Reason  string
	Detail  string // the error that it got
	// Other is the worker because of which it was refused, as it was then; its ID is 0 if there is none.
	Other struct {
		ID   int64
		Name string
	}
}
