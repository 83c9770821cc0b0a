package main

import (
	"testing"

	"github.com/stackscope/stackscope/internal/base/command/helptest"
)

func TestHelpNamesFlagsThatAreThere(t *testing.T) { helptest.Check(t, &cli{}) }

func TestExampleOfTheConfigurationFile(t *testing.T) {
	helptest.Example(t, func() any { return &cli{} })
}
