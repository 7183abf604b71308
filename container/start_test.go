package container

import (
	"errors"
	"io"
	"testing"

	"golang.org/x/sys/unix"

	"runack/nsexec"
)

// What nobody saw counts as executed, unless what is known of its end speaks against it.
func TestAnEndThatNobodySaw(t *testing.T) {
	killed, exited, bySeccomp := unix.WaitStatus(unix.SIGKILL), unix.WaitStatus(3<<8), unix.WaitStatus(unix.SIGSYS|0x80)
	for name, row := range map[string]struct {
		err    error
		failed bool
	}{
		"executed":                {nil, false},
		"seen":                    {&nsexec.Death{Err: io.EOF, Status: &killed}, true},
		"another error":           {io.ErrUnexpectedEOF, true},
		"nothing known":           {&nsexec.Death{Err: io.EOF, Unseen: true}, false},
		"exited":                  {&nsexec.Death{Err: io.EOF, Unseen: true, Status: &exited}, false},
		"killed, but not for OOM": {&nsexec.Death{Err: io.EOF, Unseen: true, Status: &killed}, false},
		"by the filter":           {&nsexec.Death{Err: io.EOF, Unseen: true, Status: &bySeccomp}, true},
	} {
		c := &Container{rec: &Record{}} // without a cgroup, whose OOM kills tests/faults has
		if err := c.judge(row.err); (err != nil) != row.failed || err != nil && !errors.Is(err, row.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
