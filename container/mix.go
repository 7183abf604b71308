package container

import (
	"runack/nsexec"
	"runack/plan"
)

// createMix says what a new container does about each namespace.
func createMix(p *plan.Plan) nsexec.Mix {
	m := nsexec.Mix{Privileged: privileged(), TimeOffsets: p.TimeOffsets}
	for _, n := range p.Namespaces {
		m.Namespaces = append(m.Namespaces, nsexec.Namespace{
			Type: n.Type, Mode: nsexec.Mode(n.Mode), Path: n.Path,
		})
	}
	return m
}

// mix joins all namespaces of the container's init, by its pidfd.
func (ex *execution) mix() nsexec.Mix {
	return nsexec.Mix{Privileged: privileged(), Init: ex.init, InitPid: ex.c.rec.Init.Pid}
}
