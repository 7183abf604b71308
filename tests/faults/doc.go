// Package faults owns the tests that interrupt runack: every step of it with failpoints, at random
// with SIGKILL, on full and broken hosts, and by many callers at once. It refuses to test what
// happens where nothing goes wrong, which is the integration tests' part.
package faults
