package spec

import (
	"os"
	"strings"
	"testing"

	"runack/tests/harness"
)

func appArmor() bool {
	text, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	return err == nil && strings.HasPrefix(string(text), "Y")
}

func seLinux() bool {
	_, err := os.Stat("/sys/fs/selinux/enforce")
	return err == nil
}

// A container that silently ran unconfined would be worse than none.
func TestLSMsThatAreNotThere(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("says it in other words")
	const label = "system_u:system_r:container_t:s0"
	id, _ := e.Detached()
	defer e.Remove(id)
	if !seLinux() {
		harness.OneLine(t, e.Fails(255, "exec", "--process-label", label, id, "/bin/true"), "process.selinuxLabel", "SELinux is not enabled")
		e.Refused([]harness.Edit{func(s *spec) { s.Process.SelinuxLabel = label }}, "process.selinuxLabel", "selinux")
		e.Refused([]harness.Edit{func(s *spec) { s.Linux.MountLabel = label }}, "linux.mountLabel", "SELinux is not enabled")
	}
	if !appArmor() {
		harness.OneLine(t, e.Fails(255, "exec", "--apparmor", "docker-default", id, "/bin/true"), "process.apparmorProfile", "AppArmor is not enabled")
		e.Refused([]harness.Edit{func(s *spec) { s.Process.ApparmorProfile = "docker-default" }}, "process.apparmorProfile", "AppArmor is not enabled")
		// Asking for nothing is no reason to refuse.
		wantEqual(t, "unconfined", e.Run(sh("echo runs"), func(s *spec) { s.Process.ApparmorProfile = "unconfined" }), "runs\n")
	}
}

// The profile is the kernel's for unconfined programs where no other can be had: apparmor_parser loads
// one here, if the machine has it.
func TestTheAppArmorProfile(t *testing.T) {
	e := harness.New(t)
	if !appArmor() {
		t.Skip("AppArmor is not enabled; the virtual machine of the tests has it")
	}
	current := "cat /proc/self/attr/apparmor/current 2>/dev/null || cat /proc/self/attr/current"
	// A profile that does not exist fails the create, by its name, and not the start.
	b := e.Bundle(func(s *spec) { s.Process.ApparmorProfile = "no-such-profile" })
	harness.OneLine(t, e.Fails(1, "create", "-b", b.Dir, e.ID("n")), "set exec label", "no-such-profile")
	parser := "/usr/sbin/apparmor_parser"
	if _, err := os.Stat(parser); err != nil {
		t.Skip("there is no apparmor_parser to load a profile with; that a missing one is refused was seen")
	}
	name := strings.ReplaceAll(e.ID("profile"), "-", "_")
	profile := e.File("profile", "profile "+name+" flags=(attach_disconnected) {\n\tfile,\n\tcapability,\n\tsignal,\n\tdeny /tmp/** w,\n}\n")
	e.Command(parser, "--replace", profile).OK()
	t.Cleanup(func() { e.Command(parser, "--remove", profile).Do() })
	confined := func(s *spec) { s.Process.ApparmorProfile = name }
	id, _ := e.Detached(confined, mount("tmpfs", "tmpfs", "/tmp"))
	wantEqual(t, "the exec's profile", e.OK("exec", id, "/bin/sh", "-c", current), name+" (enforce)\n")
	e.Remove(id)
	id, _ = e.Detached()
	wantEqual(t, "an exec's own profile", e.OK("exec", "--apparmor", name, id, "/bin/sh", "-c", current), name+" (enforce)\n")
	harness.OneLine(t, e.Fails(255, "exec", "--apparmor", "no-such-profile", id, "/bin/true"), "set exec label", "no-such-profile")
	e.Remove(id)
	out := e.Run(sh(current+"; touch /tmp/x 2>/dev/null || echo denied"), confined, mount("tmpfs", "tmpfs", "/tmp"))
	wantEqual(t, "init's profile", out, lines(name+" (enforce)", "denied"))
}
