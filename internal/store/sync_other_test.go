//go:build !linux

package store_test

import (
	"context"
	"errors"

	"github.com/stackscope/stackscope/internal/store"
)

const unsyncedRole = "unsynced"

func playUnsynced(context.Context, *store.Store) error { return errors.ErrUnsupported }
