package container

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/runc/types"
	"github.com/sirupsen/logrus"

	"runack/cgroupjoin"
	"runack/nsexec"
)

// Stats gives the container's statistics, in runc's form.
func (c *Container) Stats() (*types.Stats, error) {
	cg, init, err := c.running()
	if err != nil {
		return nil, err
	}
	defer init.Close()
	return c.stats(cg)
}

func (c *Container) stats(cg *cgroupjoin.Cgroup) (*types.Stats, error) {
	rdt, err := c.rdt()
	if err != nil {
		return nil, c.wrap(err)
	}
	stats, err := cg.EventStats(rdt)
	return stats, c.wrap(err)
}

// running gives the cgroup and the pidfd of the init of a container that has not stopped, and refuses
// others in runc's words. The caller closes the pidfd.
func (c *Container) running() (*cgroupjoin.Cgroup, *os.File, error) {
	m, err := c.look()
	if err != nil {
		return nil, nil, err
	}
	cg, err := c.cgroup()
	switch {
	case m.status == Stopped || m.init == nil:
		err = fmt.Errorf("container with id %s is not running", c.rec.ID)
	case err == nil && cg == nil:
		err = errNoCgroup
	}
	if err != nil {
		m.close()
		return nil, nil, err
	}
	return cg, m.init, nil
}

// Events emits the statistics at every interval, and an event for every OOM, until the container's
// init has ended or emit fails. Where there is no memory controller there are no OOMs to be told.
func (c *Container) Events(interval time.Duration, emit func(types.Event) error) error {
	cg, init, err := c.running()
	if err != nil {
		return err
	}
	watch, err := cg.WatchOOM()
	switch {
	case errors.Is(err, cgroupjoin.ErrNoCgroup):
		logrus.Warn(c.wrap(err))
	case err != nil:
		init.Close()
		return c.wrap(err)
	}
	oom := watchOOM(watch, init)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case e := <-oom:
			if e.oom {
				if err := emit(types.Event{Type: "oom", ID: c.rec.ID}); err != nil {
					return err
				}
			}
			if e.gone || e.err != nil {
				return c.wrap(e.err)
			}
		case <-ticker.C:
			if err := c.emitStats(cg, init, emit); err != nil {
				return err
			}
		}
	}
}

// emitStats emits nothing for a container that ends while it is being measured: the end is told
// otherwise.
func (c *Container) emitStats(cg *cgroupjoin.Cgroup, init *os.File, emit func(types.Event) error) error {
	stats, err := c.stats(cg)
	if err != nil {
		if gone, gerr := nsexec.WaitPidFD(init, 0); gerr == nil && gone {
			return nil
		}
		return err
	}
	return emit(types.Event{Type: "stats", ID: c.rec.ID, Data: stats})
}

// An oomEvent is what a watch has told: an OOM, the end of the container, or both at once.
type oomEvent struct {
	oom, gone bool
	err       error
}

// watchOOM waits, in a goroutine of its own, for OOMs and for the end of init. A watch may be nil.
// The goroutine owns the watch and the pidfd, and ends with the container or with the program.
func watchOOM(w *cgroupjoin.OOMWatch, init *os.File) <-chan oomEvent {
	events := make(chan oomEvent)
	go func() {
		defer init.Close()
		if w == nil {
			_, err := nsexec.WaitPidFD(init, -1)
			events <- oomEvent{gone: true, err: err}
			return
		}
		defer w.Close()
		for {
			e := nextOOM(w, init)
			events <- e
			if e.gone || e.err != nil {
				return
			}
		}
	}()
	return events
}

// nextOOM looks once more when init has ended: the kill that ended it may have been the OOM's.
func nextOOM(w *cgroupjoin.OOMWatch, init *os.File) oomEvent {
	for {
		stopped, err := w.Wait(int(init.Fd()))
		if err != nil {
			return oomEvent{err: err}
		}
		oom, gone, err := w.Read()
		if oom || gone || stopped || err != nil {
			return oomEvent{oom: oom, gone: gone || stopped, err: err}
		}
	}
}
