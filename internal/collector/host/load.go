package host

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/stackscope/stackscope/internal/catalog"
)

type loadReader struct {
	file kernelFile
	buf  []byte
}

func (l *loadReader) read(context.Context) ([]sample, error) {
	text, err := l.file.read(&l.buf)
	if err != nil {
		return nil, err
	}
	one, five, fifteen, ok := parseLoad(text)
	if !ok {
		return nil, fmt.Errorf("%s does not begin with three numbers", l.file.path)
	}
	return []sample{
		{metric: &catalog.WorkerNodeLoad1, value: one},
		{metric: &catalog.WorkerNodeLoad5, value: five},
		{metric: &catalog.WorkerNodeLoad15, value: fifteen},
	}, nil
}

// maxLoad is more tasks than Linux can have: it numbers them with 22 bits.
const maxLoad = 1 << 22

// parseLoad reads the three means of a line such as "0.14 0.06 0.45 2/94 7820".
func parseLoad(text []byte) (one, five, fifteen float64, ok bool) {
	var values [3]float64
	n := 0
	for field := range bytes.FieldsSeq(text) {
		v, err := strconv.ParseFloat(string(field), 64)
		if err != nil || !(v >= 0 && v <= maxLoad) {
			return 0, 0, 0, false
		}
		values[n] = v
		if n++; n == len(values) {
			return values[0], values[1], values[2], true
		}
	}
	return 0, 0, 0, false
}
