package main

import (
	"errors"
	"path/filepath"
	"sync"
	"time"
)

// Throughput is how many containers a second parallel loops of `run` get through.
type Throughput struct {
	Runtime   string  `json:"runtime"`
	Loops     int     `json:"loops"`
	PerSecond float64 `json:"per_second"`
}

func (b *bench) throughput(Options) error {
	const loops, each = 8, 25
	bundle, err := b.bundle("throughput", []string{"/bin/true"})
	if err != nil {
		return err
	}
	for _, r := range b.view.Runtimes {
		start := time.Now()
		if err := b.parallel(loops, loops*each, func(id string) error {
			_, err := b.call(r, "run", "--bundle", bundle, id)
			removePlaceholders(id)
			return err
		}); err != nil {
			return err
		}
		rate := loops * each / time.Since(start).Seconds()
		b.view.Throughput = append(b.view.Throughput, Throughput{r.Name, loops, float64(int(rate*10)) / 10})
	}
	return nil
}

// parallel calls f n times, with IDs of its own, from a number of loops.
func (b *bench) parallel(loops, n int, f func(id string) error) error {
	ids := make(chan string, n)
	for range n {
		ids <- b.id()
	}
	close(ids)
	errs := make([]error, loops)
	var all sync.WaitGroup
	for i := range loops {
		all.Go(func() {
			for id := range ids {
				if errs[i] = f(id); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// Growth is what calls cost beside a number of containers that live already.
type Growth struct {
	Runtime string             `json:"runtime"`
	Live    int                `json:"live"`
	MS      map[string]float64 `json:"ms"` // median by verb
}

// mostForOthers bounds how many live containers other runtimes get: making them takes minutes.
const mostForOthers = 1000

func (b *bench) growth(o Options) error {
	bundle, err := b.bundle("growth", []string{"/bin/true"})
	if err != nil {
		return err
	}
	for _, r := range b.view.Runtimes {
		if err := b.grow(r, bundle, o.Live); err != nil {
			return err
		}
	}
	return nil
}

// grow makes containers, up to each number in turn, and measures there.
func (b *bench) grow(r Runtime, bundle string, levels []int) error {
	var live []string
	defer func() {
		for _, id := range live {
			b.remove(r, id)
		}
	}()
	for _, level := range levels {
		if level > mostForOthers && r.Name != "runack" {
			b.note("growth beyond %d live containers is measured for runack alone", mostForOthers)
			return nil
		}
		for len(live) < level {
			id := b.id()
			if _, err := b.call(r, "create", "--bundle", bundle, id); err != nil {
				return err
			}
			live = append(live, id)
		}
		g := Growth{Runtime: r.Name, Live: level, MS: map[string]float64{}}
		if err := b.besideThem(r, bundle, &g); err != nil {
			return err
		}
		b.view.Growth = append(b.view.Growth, g)
	}
	return nil
}

func (b *bench) besideThem(r Runtime, bundle string, g *Growth) error {
	ms := map[string][]float64{}
	timed := func(verb string, args ...string) error {
		c, err := b.call(r, args...)
		ms[verb] = append(ms[verb], float64(c.took)/float64(time.Millisecond))
		return err
	}
	for range 15 {
		id, pidFile := b.id(), filepath.Join(b.work, "pid")
		err := errors.Join(timed("create", "create", "--pid-file", pidFile, "--bundle", bundle, id),
			timed("start", "start", id), awaitEnd(pidFile), timed("delete", "delete", id))
		removePlaceholders(id)
		if err != nil {
			return err
		}
	}
	for range 5 {
		if err := timed("list", "list"); err != nil {
			return err
		}
	}
	for verb, times := range ms {
		g.MS[verb] = float64(int(quantile(times, 0.5)*100)) / 100
	}
	return nil
}
