package cgroupjoin

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/cgroups"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"runack/internal/smallfile"
)

// A snapshot is what the files that an update writes had in them, to undo one that is refused half
// way. It is the text, since nothing else says what the kernel had before there was a limit, or what
// another program has written.
type snapshot []limitFile

type limitFile struct{ path, text string }

// companion is a file that the library writes with, or instead of, one of limitsOf.
func companion(file string) string {
	switch file {
	case "memory.limit_in_bytes":
		return "memory.memsw.limit_in_bytes"
	case "memory.max":
		return "memory.swap.max"
	case "blkio.weight":
		return "blkio.bfq.weight"
	case "blkio.weight_device":
		return "blkio.bfq.weight_device"
	case "io.weight":
		return "io.bfq.weight"
	}
	return file
}

// snapshot reads the files that r is written to. What cannot be read is not there, or no limit.
func (c *Cgroup) snapshot(r *specs.LinuxResources) snapshot {
	var s snapshot
	seen := map[string]bool{}
	for _, l := range limitsOf(r, c.saved.Layout) {
		for _, file := range []string{l.file, companion(l.file)} {
			path := filepath.Join(c.dirOf(l.controller), file)
			if seen[path] || strings.HasSuffix(file, ".pressure") { // its text is a measurement
				continue
			}
			seen[path] = true
			if text, err := readLimit(path); err == nil {
				s = append(s, limitFile{path, text})
			}
		}
	}
	return s
}

// readLimit gives a file's text in the form that can be written to it.
func readLimit(path string) (string, error) {
	data, err := smallfile.Read(path)
	text := strings.TrimSpace(string(data))
	if filepath.Base(path) == "memory.oom_control" { // of v1: the first line of three
		first, _, _ := strings.Cut(text, "\n")
		text = strings.TrimPrefix(first, "oom_kill_disable ")
	}
	return text, err
}

// restore writes what has changed. Of two limits one may have to be lifted before the other can be
// (memory with swap before memory alone), so what is refused is tried again after the others.
func (s snapshot) restore() error {
	var err error
	for range 2 {
		err = nil
		for _, f := range slices.Backward(s) {
			err = errors.Join(err, f.restore())
		}
		if err == nil {
			break
		}
	}
	return err
}

func (f limitFile) restore() error {
	now, err := readLimit(f.path)
	if err != nil {
		return err
	}
	dir, file := filepath.Split(f.path)
	for _, text := range changes(file, f.text, now) {
		err = errors.Join(err, cgroups.WriteFile(dir, file, text))
	}
	return err
}

// changes lists what to write so that a file's text becomes old again. A file with a line for each
// device takes one line at a time, and has no line for a device without a limit.
func changes(file, old, now string) []string {
	if old == now {
		return nil
	}
	none, byDevice := noLimit(file)
	if !byDevice {
		return []string{old + "\n"} // of a CPU set, an empty one too
	}
	was, is := deviceLines(old), deviceLines(now)
	var out []string
	for device := range is {
		if _, ok := was[device]; !ok {
			out = append(out, device+" "+none)
		}
	}
	for device, limit := range was {
		if is[device] != limit {
			out = append(out, device+" "+limit)
		}
	}
	return out
}

// noLimit says how a device is left without a limit in a file that has one for each device.
func noLimit(file string) (text string, byDevice bool) {
	switch {
	case file == "io.max":
		return "rbps=max wbps=max riops=max wiops=max", true
	case strings.HasPrefix(file, "blkio.throttle."):
		return "0", true
	case file == "io.weight", file == "io.bfq.weight", strings.HasSuffix(file, ".weight_device"):
		return "default", true
	case file == "rdma.max":
		return "hca_handle=max hca_object=max", true
	case file == "net_prio.ifpriomap":
		return "0", true
	}
	return "", false
}

// deviceLines splits "8:0 rbps=1" lines, and "default 100".
func deviceLines(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		device, limit, _ := strings.Cut(strings.TrimSpace(line), " ")
		out[device] = limit
	}
	return out
}
