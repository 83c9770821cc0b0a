package simengine

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// quietRate is the least number of requests a second at any hour: a page is never without fresh observations.
const quietRate = 1.2

// load is when requests arrive: a Poisson process whose rate follows the hour and the day of the week, and on top of it
// bursts, each of them a cluster of requests that begin together.
type load struct {
	p       *profile
	rng     *rand.Rand
	weekday int     // of the day on which load began
	second  float64 // of that day, when load began

	steady  float64   // next arrival of the steady process
	burst   float64   // beginning of the next burst
	cluster []float64 // arrivals of bursts that have begun, latest first
}

func newLoad(p *profile, start time.Time, rng *rand.Rand) *load {
	h, m, s := start.Clock()
	l := &load{p: p, rng: rng, weekday: int(start.Weekday()), second: float64(h*3600 + m*60 + s)}
	l.steady = l.nextSteady(0)
	// The first burst comes within the first minute, so that a demonstration doesn't begin with a dull one.
	l.burst = 12 + 30*rng.Float64()
	return l
}

// rate returns the steady arrivals a second at t seconds after load began.
func (l *load) rate(t float64) float64 {
	const day = 24 * 3600
	now := l.second + t
	hour := math.Mod(now, day) / 3600
	shape := .2 + .8*math.Pow((1+math.Cos(2*math.Pi*(hour-l.p.peakHour)/24))/2, 1.4)
	if today := (l.weekday + int(now/day)) % 7; today == int(time.Saturday) || today == int(time.Sunday) {
		shape *= .55
	}
	return max(quietRate, l.p.peakRate*shape)
}

// close lets nobody come any more.
func (l *load) close() { l.steady, l.burst, l.cluster = math.Inf(1), math.Inf(1), nil }

func (l *load) closed() bool { return math.IsInf(l.steady, 1) }

// open lets people come again from t on.
func (l *load) open(t float64) {
	l.steady = l.nextSteady(t)
	l.burst = t + 15 + l.rng.ExpFloat64()*max(1, l.p.burstEvery-15)
}

// nextSteady returns the first arrival after t, by thinning a process of the highest rate.
func (l *load) nextSteady(t float64) float64 {
	highest := max(quietRate, l.p.peakRate)
	for {
		t += l.rng.ExpFloat64() / highest
		if l.rng.Float64()*highest <= l.rate(t) {
			return t
		}
	}
}

// peek returns when the next request arrives.
func (l *load) peek() float64 {
	for l.burst < l.steady && (len(l.cluster) == 0 || l.burst < l.cluster[len(l.cluster)-1]) {
		size := 2 + int(l.p.burstSize*(.35+1.3*l.rng.Float64()))
		l.add(l.burst, size)
		l.burst += 15 + l.rng.ExpFloat64()*max(1, l.p.burstEvery-15)
	}
	if n := len(l.cluster); n > 0 {
		return min(l.steady, l.cluster[n-1])
	}
	return l.steady
}

// add lets a burst of size requests begin at t.
func (l *load) add(t float64, size int) {
	for range size {
		l.cluster = append(l.cluster, t+l.rng.ExpFloat64()*l.p.burstSpread)
	}
	slices.SortFunc(l.cluster, func(a, b float64) int { return cmp.Compare(b, a) })
}

// pop takes the next request.
func (l *load) pop() float64 {
	t := l.peek()
	if n := len(l.cluster); n > 0 && l.cluster[n-1] == t {
		l.cluster = l.cluster[:n-1]
		return t
	}
	l.steady = l.nextSteady(t)
	return t
}

// draw returns a value of d.
func (d lognormal) draw(rng *rand.Rand) float64 {
	return min(d.most, max(d.least, d.median*math.Exp(d.sigma*rng.NormFloat64())))
}

// tokens returns a value of d as a whole number of tokens.
func (d lognormal) tokens(rng *rand.Rand) int { return max(1, int(d.draw(rng))) }
