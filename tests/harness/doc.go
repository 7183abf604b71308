// Package harness runs the real binary for the integration tests and makes sure that nothing is
// left behind. It owns the set-up that all of them share (a private mount namespace, a root file
// system from busybox, bundles, captured output, deadlines) and the leftover checker; it refuses
// to know what a runtime should do, and imports none of runack's rooms, so that the same tests can
// drive another runtime:
//
//	RUNTIME=runc go test ./tests/integration
//
// A test package hands its main function over and makes an Env per test:
//
//	func TestMain(m *testing.M) { harness.Main(m) }
//
//	func TestTheProgramIsPid1(t *testing.T) {
//		e := harness.New(t)
//		b := e.Bundle(harness.Shell("echo $$"))
//		if got := e.OK("run", "-b", b.Dir, e.ID("c")); got != "1\n" { ... }
//	}
//
// The checker compares what is there before and after each test: processes below the test process
// (a subreaper, so that nothing escapes it), mounts, cgroups of every hierarchy, descriptors of the
// test process, the runtime's state, temporary files, pinned network namespaces. It sees the
// whole process, so tests with an Env run one after the other.
//
// Environment: RUNACK (the binary; bin/runack), RUNTIME (another runtime: a name or a path),
// RUNACK_VIEW (which view of the host's cgroups, see view.go), RUNACK_SOAK=1 (long forms),
// RUNACK_SLOW (factor for deadlines, for emulated machines).
package harness
