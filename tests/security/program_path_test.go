package security

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

// reached is the status of a program that is not to be reached.
const reached = 77

// exits are a program for each kind of machine: exit(reached).
var exits = map[string][]byte{
	"amd64": {0xbf, reached, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05},            // mov edi; mov eax, SYS_exit; syscall
	"arm64": {0xa0, 0x09, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0, 0, 0xd4}, // mov x0; mov x8, SYS_exit; svc
}

// program is the smallest file that can be executed, or be the loader of one. With a loader of its own
// it is up to that what happens.
func program(t testing.TB, base uint64, loader string) string {
	t.Helper()
	code, ok := exits[runtime.GOARCH]
	if !ok {
		t.Skipf("no program for %s", runtime.GOARCH)
	}
	f, err := elf.Open(harness.RuntimePath()) // for the machine
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const headers = 64 + 2*56
	name := uint64(headers + len(code))
	size := name + uint64(len(loader)) + 1
	segments := []elf.Prog64{
		{Type: uint32(elf.PT_NULL)},
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Filesz: size, Memsz: size, Align: 4096},
	}
	if loader != "" {
		n := uint64(len(loader)) + 1
		segments[0] = elf.Prog64{Type: uint32(elf.PT_INTERP), Flags: uint32(elf.PF_R), Off: name, Vaddr: base + name, Filesz: n, Memsz: n, Align: 1}
	}
	header := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(f.Machine), Version: uint32(elf.EV_CURRENT),
		Entry: base + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 2,
	}
	var out bytes.Buffer
	for _, part := range []any{header, segments, code, append([]byte(loader), 0)} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// files are what an image can bring: a program, a script that path is the interpreter of, and a program
// that it is the loader of.
func files(t testing.TB, path string) map[string]string {
	return map[string]string{"script": "#!" + path + "\n", "loader": program(t, 0x20000000, path)}
}

// execve looks a program up, and its interpreter and its loader, while the stage's descriptors that are
// close-on-exec are still open: one of a directory would lead to the host by way of /proc/self/fd, from
// the configuration or from a file of the image's, and so would one that the caller leaks.
func TestCVE_2024_21626_ByTheProgram(t *testing.T) {
	e := harness.New(t)
	host := e.File("host/program", program(t, 0x10000000, ""))
	for dir := filepath.Dir(host); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // for root of a user namespace as well
			t.Fatal(err)
		}
	}
	root, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()

	const last = 40
	through := func(n int) string { return fmt.Sprintf("/proc/self/fd/%d/../../..%s", n, host) }
	plant := func(b *harness.Bundle) *harness.Bundle {
		write(t, b, "program", program(t, 0x10000000, ""))
		for way, text := range files(t, "/program") {
			write(t, b, way, text)
		}
		for n := 3; n <= last; n++ {
			for way, text := range files(t, through(n)) {
				write(t, b, fmt.Sprintf("%s-%d", way, n), text)
			}
		}
		return b
	}
	check := func(what string, r harness.Result) {
		if r.Code == 0 || r.Code == reached {
			t.Errorf("%s: the host's program was executed: %s", what, r)
		}
	}
	b, less := plant(e.Bundle(harness.Probe("wait"))), userNS(plant(e.Bundle()))
	id := e.ID("c")
	e.OK("run", "-d", "-b", b.Dir, id)
	for _, own := range []string{"/program", "/script", "/loader"} {
		e.Fails(reached, "exec", id, own) // the ways are ways
	}
	for n := 3; n <= last; n++ {
		for _, program := range []string{through(n), fmt.Sprintf("/script-%d", n), fmt.Sprintf("/loader-%d", n)} {
			check("exec "+program, e.Do("exec", id, program))
			check("exec with a leaked descriptor "+program, e.Runtime("exec", id, program).Files(root).Do())
			if n > 16 && !harness.Soak() {
				continue
			}
			for name, bundle := range map[string]*harness.Bundle{"run ": b, "run with a user namespace ": less} {
				bundle.Edit(harness.Args(program))
				check(name+program, e.Runtime("run", "-b", bundle.Dir, e.ID("r")).Files(root).Do())
			}
		}
	}
	e.Remove(id)
}

// Nor does the stage have such a descriptor while others may look at it: as long as the container is
// created, and when its startContainer hooks run.
func TestTheWaitingStageHoldsNothingOfTheHosts(t *testing.T) {
	e := harness.New(t)
	host := e.File("host/file", "")
	e.OK("create", "-b", e.Bundle().Dir, "--pid-file", filepath.Join(e.Dir, "pid"), e.ID("c"))
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", e.ReadPid(filepath.Join(e.Dir, "pid"))))
	if err != nil || len(fds) == 0 {
		t.Fatal(fds, err)
	}
	for _, fd := range fds {
		if _, err := os.Stat(fd + "/../../.." + host); err == nil {
			t.Errorf("%s leads to the host's root", fd)
		}
	}
	e.Remove(e.ID("c"))
	look := "for fd in /proc/1/fd/*; do test -e $fd/../../.." + host + " && exit 9; done; test -e /proc/1/fd/0"
	e.Run(everyCapability, harness.Args("/bin/true"), func(s *spec) {
		s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", look}}}}
	})
}
