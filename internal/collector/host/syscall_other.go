//go:build !linux

package host

import (
	"context"
	"errors"
)

func kernelArch() (string, error) { return "", errors.ErrUnsupported }

func uptime() (float64, error) { return 0, errors.ErrUnsupported }

func usage(context.Context, string) (total, used uint64, err error) {
	return 0, 0, errors.ErrUnsupported
}
