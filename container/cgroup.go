package container

import "runack/cgroupjoin"

// Cgroup gives the container's cgroup, nil where it has none. It stays usable after Close.
func (c *Container) Cgroup() (*cgroupjoin.Cgroup, error) { return c.cgroup() }
