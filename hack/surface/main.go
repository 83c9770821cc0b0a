// Command surface prints everything that users of stackscope can depend on, one sorted line each: metrics with type and label names,
// flags with environment variables, API routes and JSON keys, and the labels of discovered targets. It reads them from built programs:
//
//	go run ./hack/surface bin > new.txt
//	diff old.txt new.txt
//
// It starts `stackscope demo` on loopback with free ports and ends it. What a fleet exports depends on what happens in it, so the
// pages are read until they have brought nothing new for some time.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

func main() {
	settle := flag.Duration("settle", 40*time.Second, "how long the pages must bring nothing new")
	limit := flag.Duration("limit", 5*time.Minute, "how long to read the pages at most")
	scenario := flag.String("scenario", "", "the demo's scenario, for example pd; empty for the default, also of a program that knows none")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: surface [-settle DURATION] [-limit DURATION] [-scenario NAME] DIR\n\nDIR holds stackscope and stackscope-worker.")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	lines, err := surface(ctx, flag.Arg(0), *scenario, *settle, *limit)
	if err != nil {
		fmt.Fprintln(os.Stderr, "surface:", err)
		os.Exit(1) //nolint:gocritic // the signals' handler ends with the process
	}
	for _, line := range lines.sorted() {
		fmt.Println(line)
	}
}

// lineSet is a set of lines.
type lineSet map[string]bool

func (s lineSet) add(format string, args ...any) { s[fmt.Sprintf(format, args...)] = true }

func (s lineSet) sorted() []string {
	var list []string
	for line := range s {
		list = append(list, line)
	}
	slices.Sort(list)
	return list
}

func surface(ctx context.Context, dir, scenario string, settle, limit time.Duration) (lineSet, error) {
	lines := lineSet{}
	for _, name := range []string{"stackscope", "stackscope-worker"} {
		if err := addFlags(ctx, lines, dir, name); err != nil {
			return nil, err
		}
	}
	fleet, err := startDemo(ctx, dir, scenario)
	if err != nil {
		return nil, err
	}
	defer fleet.stop()
	if err := fleet.awaitReady(ctx); err != nil {
		return nil, err
	}
	if err := fleet.addRoutes(ctx, lines); err != nil {
		return nil, err
	}
	return lines, fleet.addPages(ctx, lines, settle, limit)
}
