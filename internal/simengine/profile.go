package simengine

import (
	"fmt"
	"strings"
)

// Names of the profiles.
const (
	ProfileVLLM   = "vllm"     // vLLM 0.23 with speculative decoding
	ProfileVLLM09 = "vllm-0.9" // vLLM 0.9.2, V1 engine: the deprecated gpu_* names beside their successors
	ProfileSGLang = "sglang"   // SGLang 0.5.18, multiprocess client, hierarchical cache, speculative decoding
	ProfileMindIE = "mindie"   // MindIE 3.0: bare names, requests are swapped out rather than computed again
)

// Profiles returns the names of all profiles.
func Profiles() []string {
	return []string{ProfileVLLM, ProfileVLLM09, ProfileSGLang, ProfileMindIE}
}

// profile is an engine with the machine it runs on and the people who use it.
type profile struct {
	kind    string // which page it writes: vllm, sglang or mindie
	version string
	model   string // served when Options.Model is empty
	old     bool   // vLLM's names as of 0.9

	// The machine: what a step costs, in seconds.
	stepBase, perSequence, perPrompt, perKV float64
	// The engine's settings.
	maxSequences, maxBatchTokens, maxModelLen int
	blockSize, blocks, hostBlocks             int
	swaps                                     bool      // preempted requests are swapped to host memory instead of computed again
	accept                                    []float64 // probability that the draft token at each position is accepted, given the ones before
	resolution                                float64   // latencies are rounded to this many seconds; 0: not at all

	// The users.
	peakRate    float64 // requests a second at the busiest hour of a weekday, bursts apart
	peakHour    float64
	burstEvery  float64 // mean seconds between bursts
	burstSize   float64 // mean requests in a burst
	burstSpread float64 // mean seconds by which a burst's requests trail its beginning
	prompt      lognormal
	output      lognormal
	prefix      lognormal // length of the system prompts that many requests share
	prefixes    int
	followUps   float64 // share of requests that go on with an earlier conversation
	patience    lognormal

	buckets bounds
}

// lognormal is a distribution by its median and the deviation of its logarithm, cut off at both ends.
type lognormal struct{ median, sigma, least, most float64 }

// bounds are the bucket bounds of a profile's histograms; nil where the engine has no such histogram.
type bounds struct {
	firstToken, interToken, perToken, endToEnd, queue, phase, stage []float64
	tokens, uncached, maxTokens, params, iteration                  []float64
	httpPrecise, httpCoarse                                         []float64
}

func profileOf(name string) (profile, error) {
	switch name {
	case ProfileVLLM:
		p := vllm("0.23.0")
		p.accept = []float64{0.78, 0.66, 0.55}
		p.buckets.perToken = p.buckets.interToken
		p.buckets.uncached = p.buckets.tokens
		p.peakHour = 15
		return p, nil
	case ProfileVLLM09:
		p := vllm("0.9.2")
		p.old = true
		p.peakRate, p.peakHour, p.burstEvery = 2.8, 10.5, 75
		return p, nil
	case ProfileSGLang:
		return sglang(), nil
	case ProfileMindIE:
		return mindie(), nil
	}
	return profile{}, fmt.Errorf("simulated engine profile %q is unknown: use one of %s", name, strings.Join(Profiles(), ", "))
}

func vllm(version string) profile {
	const maxModelLen = 32768
	seconds := []float64{.3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}
	return profile{
		kind: ProfileVLLM, version: version, model: "qwen3-32b",
		stepBase: .017, perSequence: .00022, perPrompt: .00006, perKV: 9e-8,
		maxSequences: 64, maxBatchTokens: 2048, maxModelLen: maxModelLen,
		blockSize: 16, blocks: 4864,
		peakRate: 3.3, peakHour: 15, burstEvery: 60, burstSize: 40, burstSpread: 2.5,
		prompt: lognormal{220, 1.1, 4, 9000}, output: lognormal{210, .8, 1, 4000}, prefix: lognormal{420, .7, 48, 3000},
		prefixes: 32, followUps: .45, patience: lognormal{9, .5, 2, 60},
		buckets: bounds{
			firstToken:  []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560},
			interToken:  []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80},
			endToEnd:    seconds,
			queue:       seconds,
			phase:       seconds,
			tokens:      oneTwoFive(maxModelLen),
			maxTokens:   oneTwoFive(maxModelLen),
			params:      []float64{1, 2, 5, 10, 20},
			iteration:   []float64{1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384},
			httpPrecise: []float64{.01, .025, .05, .075, .1, .25, .5, .75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 7.5, 10, 30, 60},
			httpCoarse:  []float64{.1, .5, 1},
		},
	}
}

func sglang() profile {
	tokens := []float64{
		100, 300, 500, 700, 1000, 1500, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000, 12500, 15000,
		17500, 20000, 22500, 25000, 27500, 30000, 35000, 40000, 60000, 80000, 100000, 200000, 300000, 400000, 600000, 800000, 1e6, 1.1e6,
	}
	return profile{
		kind: ProfileSGLang, version: "0.5.18", model: "deepseek-v3.2",
		stepBase: .024, perSequence: .00035, perPrompt: .00005, perKV: 4e-8,
		maxSequences: 56, maxBatchTokens: 8192, maxModelLen: 65536,
		blockSize: 64, blocks: 2304, hostBlocks: 3072,
		accept:   []float64{.82, .62, .44},
		peakRate: 2.4, peakHour: 16.5, burstEvery: 75, burstSize: 34, burstSpread: 4,
		prompt: lognormal{380, 1.2, 4, 16000}, output: lognormal{260, .85, 1, 6000}, prefix: lognormal{700, .8, 64, 5000},
		prefixes: 24, followUps: .6, patience: lognormal{14, .5, 3, 90},
		buckets: bounds{
			firstToken: []float64{.1, .2, .4, .6, .8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400},
			interToken: []float64{.002, .004, .006, .008, .01, .015, .02, .025, .03, .035, .04, .06, .08, .1, .2, .4, .6, .8, 1, 2, 4, 6, 8},
			endToEnd:   []float64{.1, .2, .4, .6, .8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400, 600, 1200, 1800, 2400},
			queue: []float64{
				0, .001, .005, .01, .05, .1, .2, .5, 1, 2, 3, 4, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 100, 200, 300, 400, 500,
				600, 700, 800, 900, 1000, 1200, 1400, 1600, 1800, 2000, 2500, 3000,
			},
			stage:    exponential(.001, 1.62, 30),
			tokens:   tokens,
			uncached: tokens,
		},
	}
}

func mindie() profile {
	return profile{
		kind: ProfileMindIE, version: "3.0.0", model: "pangu-pro-moe",
		stepBase: .028, perSequence: .0003, perPrompt: .00009, perKV: 1.2e-7,
		maxSequences: 48, maxBatchTokens: 8192, maxModelLen: 16384,
		blockSize: 128, blocks: 448, hostBlocks: 256, swaps: true, resolution: .001,
		peakRate: 1.9, peakHour: 11, burstEvery: 55, burstSize: 32, burstSpread: 3,
		prompt: lognormal{240, 1, 4, 6000}, output: lognormal{190, .8, 1, 2000}, prefix: lognormal{380, .6, 128, 2000},
		prefixes: 16, followUps: .4, patience: lognormal{11, .5, 3, 60},
		buckets: bounds{
			firstToken: []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10},
			interToken: []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5},
			endToEnd:   []float64{1, 2.5, 5, 10, 15, 20, 30, 40, 50, 60},
			tokens:     []float64{10, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 16000, 20000, 32000, 50000, 64000, 128000},
		},
	}
}
