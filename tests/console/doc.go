// Package console looks at the built program's console in a real browser.
package console
