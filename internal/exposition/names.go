package exposition

// ValidMetricName reports whether s is a metric name in the classic character set, [a-zA-Z_:][a-zA-Z0-9_:]*, the only
// one that text 0.0.4 can carry without quotes.
func ValidMetricName(s string) bool { return s != "" && metricNameLen(s) == len(s) }

// ValidLabelName reports whether s is a label name in the classic character set, [a-zA-Z_][a-zA-Z0-9_]*.
func ValidLabelName(s string) bool { return s != "" && labelNameLen(s) == len(s) }

// Classes of bytes, as bits.
const (
	classLabel  = 1 << iota // [a-zA-Z_]
	classMetric             // [a-zA-Z_:]
	classDigit              // [0-9]
)

// byteClass says to which classes a byte belongs.
var byteClass = func() (t [256]uint8) {
	for c := range t {
		switch b := byte(c); {
		case 'a' <= b|0x20 && b|0x20 <= 'z', b == '_':
			t[c] = classLabel | classMetric
		case b == ':':
			t[c] = classMetric
		case '0' <= b && b <= '9':
			t[c] = classDigit
		}
	}
	return t
}()

// metricNameLen returns the length of the metric name with which s begins, 0 if there is none.
func metricNameLen[T string | []byte](s T) int {
	if len(s) == 0 || byteClass[s[0]]&classMetric == 0 {
		return 0
	}
	for i := 1; i < len(s); i++ {
		if byteClass[s[i]]&(classMetric|classDigit) == 0 {
			return i
		}
	}
	return len(s)
}

// labelNameLen returns the length of the label name with which s begins, 0 if there is none.
func labelNameLen[T string | []byte](s T) int {
	if len(s) == 0 || byteClass[s[0]]&classLabel == 0 {
		return 0
	}
	for i := 1; i < len(s); i++ {
		if byteClass[s[i]]&(classLabel|classDigit) == 0 {
			return i
		}
	}
	return len(s)
}

// MetricNameLen returns the length of the metric name with which b begins, 0 if there is none.
func MetricNameLen(b []byte) int { return metricNameLen(b) }
