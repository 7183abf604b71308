package container

import (
	"runack/nsexec"
	"runack/plan"
)

// createMix says what a new container does about each namespace.
func createMix(p *plan.Plan) nsexec.Mix {
	return nsexec.Mix{Namespaces: p.Namespaces, Privileged: privileged(), TimeOffsets: p.TimeOffsets}
}

// mix joins all namespaces of the container's init, by its pidfd.
func (ex *execution) mix() nsexec.Mix {
	return nsexec.Mix{Privileged: privileged(), Init: ex.init, InitPid: ex.c.rec.Init.Pid}
}
