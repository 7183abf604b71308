package plan

// cgroupWarnings tells about limits that the unified hierarchy has no file for. runc passes over them
// in silence.
func (b *builder) cgroupWarnings() {
	r := b.linux.Resources
	if r == nil || b.f.CgroupVersion != "v2" {
		return
	}
	ignored := func(field string, given bool) {
		if given {
			b.warn("linux.resources."+field, "ignored: cgroup v2 has nothing like it")
		}
	}
	if m := r.Memory; m != nil {
		const unset = ^uint64(0) // -1, as libcontainer writes it
		ignored("memory.swappiness", m.Swappiness != nil && *m.Swappiness != unset)
		ignored("memory.disableOOMKiller", m.DisableOOMKiller != nil && *m.DisableOOMKiller)
	}
	if c := r.CPU; c != nil {
		ignored("cpu.realtimeRuntime", c.RealtimeRuntime != nil && *c.RealtimeRuntime != 0)
		ignored("cpu.realtimePeriod", c.RealtimePeriod != nil && *c.RealtimePeriod != 0)
	}
	if n := r.Network; n != nil {
		ignored("network.classID", n.ClassID != nil && *n.ClassID != 0)
		ignored("network.priorities", len(n.Priorities) > 0)
	}
	if io := r.BlockIO; io != nil {
		ignored("blockIO.leafWeight", io.LeafWeight != nil && *io.LeafWeight != 0)
		for i := range io.WeightDevice {
			ignored(item("blockIO.weightDevice", i)+".leafWeight", io.WeightDevice[i].LeafWeight != nil && *io.WeightDevice[i].LeafWeight != 0)
		}
	}
}
