package nsexec

import (
	"errors"
	"os"
)

// Enter brings stage-1 into existence with the namespaces of m. birth is the v2 cgroup it is to be
// born in, nil for none; whether it was, Born says afterwards. birth stays the caller's.
func (c *Child) Enter(m Mix, birth *os.File) error {
	table, err := m.Table()
	if err == nil {
		c.entry, err = table.Open()
	}
	if err != nil {
		// stage-0 waits for a spawn that will not come.
		return errors.Join(err, c.dismiss())
	}
	spawn, fds := c.entry.Spawn, c.entry.SpawnFDs
	if birth != nil {
		index := len(fds)
		spawn.Cgroup, fds = &index, append(fds, int(birth.Fd()))
	}
	c.Spawn(spawn, fds)
	return c.Ready()
}

// JoinCgroup lets stage-1 write itself into tasks, the tasks or cgroup.procs files of its cgroup,
// and do its part in the namespaces. The files stay the caller's.
func (c *Child) JoinCgroup(tasks []*os.File) error {
	defer c.entry.Close()
	join, fds := c.entry.Join, c.entry.JoinFDs
	for _, f := range tasks {
		join.Tasks = append(join.Tasks, len(fds))
		fds = append(fds, int(f.Fd()))
	}
	return c.Join(join, fds)
}

// dismiss ends a stage-0 that has not been told anything.
func (c *Child) dismiss() error {
	err := c.conn.Close()
	_, werr := c.reapStage0()
	return errors.Join(err, werr)
}
