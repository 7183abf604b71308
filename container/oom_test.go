package container

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// As long as nobody has reaped init, what it died of can be read; later the kill is an assumption.
func TestWhatInitDiedOf(t *testing.T) {
	for _, row := range []struct {
		name, script, unreaped string
	}{{"killed", "kill -KILL $$", "true"}, {"left", "exit 0", ""}, {"another signal", "kill -TERM $$", ""}} {
		t.Run(row.name, func(t *testing.T) {
			cmd := exec.Command("sh", "-c", "read go; "+row.script)
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			init, err := identOf(cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			c := &Container{rec: &Record{ID: "x", Init: &init}}
			if err := stdin.Close(); err != nil { // the end of file lets the shell go on
				t.Fatal(err)
			}
			if err := unix.Waitid(unix.P_PID, init.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
				t.Fatal(err)
			}
			if got := c.initKilled(); got != row.unreaped {
				t.Errorf("unreaped: %q, want %q", got, row.unreaped)
			}
			_ = cmd.Wait() // the status has been looked at
			if got := c.initKilled(); got != "assumed" {
				t.Errorf("reaped: %q, want assumed", got)
			}
		})
	}
}
