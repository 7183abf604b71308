package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A package is costly if its initialisation allocates this much: each command pays for it before main.
const (
	costlyBytes  = 2048
	costlyAllocs = 10
)

// costly are the packages that are known to be, and why they are there all the same. All of them
// together take some 0.1 ms; what makes another one appear has to be worth it.
var costly = map[string]string{
	"compress/flate":                 "ebpf, which loads device programs on cgroup v2, through debug/elf",
	"debug/dwarf":                    "ebpf",
	"github.com/cilium/ebpf":         "device programs on cgroup v2",
	"github.com/cilium/ebpf/btf":     "ebpf",
	"github.com/godbus/dbus/v5":      "systemd makes cgroups, where asked for",
	"github.com/urfave/cli/v2":       "the command line",
	"github.com/vishvananda/netlink": "network devices, where asked for",
	"net":                            "dbus, netlink and the sockets of --console-socket",
	"net/netip":                      "net",
	"regexp/syntax":                  "cli and validation",
	"unicode":                        "tables that strings, regexp and cli refer to",
}

// TestStartPath fails when a package with costly initialisation enters the start path. It counts what Go's
// runtime says of each package's init, which is the same on every machine, and no time. What goes into
// maps differs with their seed by a few pieces, so the least of some runs counts.
func TestStartPath(t *testing.T) {
	if !strings.Contains(os.Getenv("GOFLAGS"), "-tags=") {
		t.Skip("GOFLAGS has no tags, as make sets them: this would be another program")
	}
	bin := filepath.Join(t.TempDir(), "runack")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	least := inits(t, bin)
	for range 9 {
		for name, c := range inits(t, bin) {
			least[name] = initCost{min(c.size, least[name].size), min(c.allocs, least[name].allocs)}
		}
	}
	for name, c := range least {
		if costly[name] == "" && (c.size >= costlyBytes || c.allocs >= costlyAllocs) {
			t.Errorf("%s allocates %d bytes in %d pieces before main: reach it only where it is needed, or say above why not",
				name, c.size, c.allocs)
		}
	}
	if len(least) < 10 {
		t.Errorf("%d packages are initialised: %v", len(least), least)
	}
}

type initCost struct{ size, allocs int }

// inits is what each package's initialisation costs.
func inits(t *testing.T, bin string) map[string]initCost {
	t.Helper()
	cmd := exec.Command(bin, "--version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	cmd.Stderr = &trace
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	costs := map[string]initCost{}
	for line := range strings.Lines(trace.String()) {
		// init PACKAGE @0.1 ms, 0.002 ms clock, 312 bytes, 7 allocs
		fields := strings.Fields(line)
		if len(fields) != 11 || fields[0] != "init" {
			continue
		}
		var c initCost
		if _, err := fmt.Sscan(fields[7]+" "+fields[9], &c.size, &c.allocs); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		costs[fields[1]] = c
	}
	return costs
}
