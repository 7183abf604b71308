package container

import (
	"fmt"
	"time"

	"github.com/opencontainers/runc/types"

	"runack/cgroupjoin"
)

// Stats gives the container's statistics, in runc's form.
func (c *Container) Stats() (*types.Stats, error) {
	cg, err := c.running()
	if err != nil {
		return nil, err
	}
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

// running gives the cgroup of a container that has not stopped, and refuses others in runc's words.
func (c *Container) running() (*cgroupjoin.Cgroup, error) {
	m, err := c.look()
	if err != nil {
		return nil, err
	}
	defer m.close()
	if m.status == Stopped {
		return nil, fmt.Errorf("container with id %s is not running", c.rec.ID)
	}
	cg, err := c.cgroup()
	if err == nil && cg == nil {
		err = errNoCgroup
	}
	return cg, err
}

// Events emits the statistics at every interval, and an event for every OOM, until the container's
// cgroup is gone or emit fails.
func (c *Container) Events(interval time.Duration, emit func(types.Event) error) error {
	cg, err := c.running()
	if err != nil {
		return err
	}
	watch, err := cg.WatchOOM()
	if err != nil {
		return c.wrap(err)
	}
	defer watch.Close()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	oom := watchEvents(watch)
	for {
		select {
		case e := <-oom:
			if e.err != nil || e.gone {
				return c.wrap(e.err)
			}
			if err := emit(types.Event{Type: "oom", ID: c.rec.ID}); err != nil {
				return err
			}
		case <-ticker.C:
			stats, err := c.stats(cg)
			if err != nil {
				return err
			}
			if err := emit(types.Event{Type: "stats", ID: c.rec.ID, Data: stats}); err != nil {
				return err
			}
		}
	}
}

type watchEvent struct {
	gone bool
	err  error
}

// watchEvents waits for the watch in a goroutine of its own. It ends with the cgroup.
func watchEvents(w *cgroupjoin.OOMWatch) <-chan watchEvent {
	events := make(chan watchEvent)
	go func() {
		for {
			_, err := w.Wait(-1)
			var oom, gone bool
			if err == nil {
				oom, gone, err = w.Read()
			}
			if oom || gone || err != nil {
				events <- watchEvent{gone, err}
			}
			if gone || err != nil {
				return
			}
		}
	}()
	return events
}
