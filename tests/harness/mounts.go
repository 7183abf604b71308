package harness

import (
	"os"
	"regexp"
	"strings"
)

// A mount is a line of mountinfo (proc_pid_mountinfo(5)).
type mount struct {
	root, place, fstype, source string
	line                        string // the whole line
	same                        string // the line without what is numbered anew with every mount
}

// Mount and parent id, and the numbers of peer groups.
var (
	mountIDs   = regexp.MustCompile(`^\d+ \d+ `)
	peerGroups = regexp.MustCompile(`(shared|master|propagate_from):\d+`)
)

func mountTable() []mount {
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil
	}
	var table []mount
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 6 || len(g) < 2 {
			continue
		}
		table = append(table, mount{
			root: unescape(f[3]), place: unescape(f[4]), fstype: g[0], source: g[1], line: line,
			same: peerGroups.ReplaceAllString(mountIDs.ReplaceAllString(line, ""), "$1"),
		})
	}
	return table
}

// unescape undoes the kernel's octal escapes.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace
