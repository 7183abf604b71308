package stagetest

import (
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"runack/plan"
)

// CVE-2021-30465, CVE-2024-45310: a container that shares a volume exchanges a directory and a
// symbolic link out of the root while another one is being made.
func TestExchangedNamesLeadNowhereElse(t *testing.T) {
	rounds := 60
	if os.Getenv("RUNACK_SOAK") != "" {
		rounds = 20000
	}
	b := newBox(t)
	b.mkdir("out")
	b.mkdir("vol/a/s")
	b.write("file", "", 0o644)
	b.symlink(b.path("out"), "vol/b")
	stop := b.exchange("vol/a", "vol/b")
	defer stop()
	done := 0
	for range rounds {
		r := b.steps([]string{"-p"}, append([]plan.Step{proc,
			plan.Bind{Target: "/v", Source: b.path("vol")},
			plan.Mkdir{Path: "/v/a/x/y", Mode: 0o755},
			plan.Mount{Target: "/v/a/m", Type: "tmpfs", Options: []string{"size=4k"}},
			plan.Bind{Target: "/v/a/s/f", Source: b.path("file")},
			plan.Device{Path: "/v/a/null", Type: "c", Major: 1, Minor: 3, Mode: 0o666},
			plan.Symlink{Path: "/v/a/l", Target: "t"},
			plan.Pivot{Method: "pivot"},
			plan.Mask{Path: "/v/a/x"}, plan.Readonly{Path: "/v/a/s"},
		}, sh(mountinfo)...)...)
		if r.failure == nil {
			done++
		}
		for line := range strings.Lines(r.out) {
			point := strings.Fields(line)[4]
			// A link's target exists inside the root as well, under its own name.
			if point != "/" && point != "/proc" && point != "/v" && !strings.HasPrefix(point, "/v/") && !strings.HasPrefix(point, b.path("out")+"/") {
				t.Fatal(line)
			}
		}
		if e, err := os.ReadDir(b.path("out")); err != nil || len(e) != 0 {
			t.Fatalf("outside of the root: %v %v", e, err)
		}
	}
	// A link's target is made inside the root, so both ways end well.
	if _, err := os.Stat(b.root + b.path("out")); err != nil {
		t.Errorf("no round met the link, %d of %d came through: %v", done, rounds, err)
	}
}

// exchange swaps two names for as long as the test runs.
func (b *box) exchange(one, two string) (stop func()) {
	var wait sync.WaitGroup
	quit := make(chan struct{})
	wait.Go(func() {
		for {
			select {
			case <-quit:
				return
			default:
			}
			if err := unix.Renameat2(unix.AT_FDCWD, b.path(one), unix.AT_FDCWD, b.path(two), unix.RENAME_EXCHANGE); err != nil {
				b.t.Error(err)
				return
			}
		}
	})
	return func() {
		close(quit)
		wait.Wait()
	}
}
