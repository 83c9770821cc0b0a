//go:build !linux

package store_test

import (
	"context"
	"errors"

	"github.com/stackscope/stackscope/internal/store"
)

const (
	unsyncedRole = "unsynced"
	fullRole     = "full"
	laggingRole  = "lagging"
)

func playUnsynced(context.Context, *store.Store, string) error { return errors.ErrUnsupported }

func playFull(context.Context, *store.Store) error { return errors.ErrUnsupported }

func playLagging(context.Context, *store.Store) error { return errors.ErrUnsupported }
