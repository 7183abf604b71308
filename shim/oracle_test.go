package shim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/proto"
)

// An oracle takes the stream of events and knows what may come next for each container.
type oracle struct {
	mu         sync.Mutex
	containers map[string]*history
	wrong      []string
	deleted    map[string]chan struct{} // closed when the deletion has been told
	refuse     func() error             // asked before each event; nil takes it
}

// A history is what has been told of a container.
type history struct {
	seen    []string
	created bool
	started bool
	exited  bool
	deleted bool
	status  uint32
	execs   map[string]*execHistory
}

type execHistory struct {
	started, exited bool
	status          uint32
}

func newOracle() *oracle {
	return &oracle{containers: map[string]*history{}, deleted: map[string]chan struct{}{}}
}

// send takes the place of containerd.
func (o *oracle) send(_ context.Context, e *types.Envelope) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.refuse != nil {
		if err := o.refuse(); err != nil {
			return err
		}
	}
	switch e.Topic {
	case topicCreate:
		m := decode(e, &events.TaskCreate{})
		h := o.of(m.ContainerID)
		h.check(o, m.ContainerID, "create", !h.created && !h.exited && !h.deleted)
		h.created = true
	case topicStart:
		m := decode(e, &events.TaskStart{})
		h := o.of(m.ContainerID)
		h.check(o, m.ContainerID, "start", h.created && !h.started && !h.exited)
		h.started = true
	case topicExecAdded:
		m := decode(e, &events.TaskExecAdded{})
		h := o.of(m.ContainerID)
		h.check(o, m.ContainerID, "exec-added "+m.ExecID, h.created && !h.exited && h.execs[m.ExecID] == nil)
		h.execs[m.ExecID] = &execHistory{}
	case topicExecStarted:
		m := decode(e, &events.TaskExecStarted{})
		h := o.of(m.ContainerID)
		x := h.execs[m.ExecID]
		h.check(o, m.ContainerID, "exec-started "+m.ExecID, x != nil && !x.started && !h.exited)
		x.started = true
	case topicExit:
		o.exit(decode(e, &events.TaskExit{}))
	case topicDelete:
		m := decode(e, &events.TaskDelete{})
		h := o.of(m.ContainerID)
		h.check(o, m.ContainerID, "delete", h.exited && !h.deleted && m.ExitStatus == h.status)
		h.deleted = true
		close(o.deletion(m.ContainerID))
	default:
		o.wrong = append(o.wrong, "an event of topic "+e.Topic)
	}
	return nil
}

func (o *oracle) exit(m *events.TaskExit) {
	h := o.of(m.ContainerID)
	if m.ID != m.ContainerID {
		x := h.execs[m.ID]
		h.check(o, m.ContainerID, "exit "+m.ID, x != nil && x.started && !x.exited && !h.exited)
		x.exited, x.status = true, m.ExitStatus
		return
	}
	running := 0
	for _, x := range h.execs {
		if x.started && !x.exited {
			running++
		}
	}
	h.check(o, m.ContainerID, "exit", h.created && !h.exited && running == 0)
	h.exited, h.status = true, m.ExitStatus
}

func decode[M proto.Message](e *types.Envelope, m M) M {
	if err := proto.Unmarshal(e.Event.Value, m); err != nil {
		panic(err)
	}
	return m
}

func (o *oracle) of(id string) *history {
	h := o.containers[id]
	if h == nil {
		h = &history{execs: map[string]*execHistory{}}
		o.containers[id] = h
	}
	return h
}

func (h *history) check(o *oracle, id, what string, ok bool) {
	h.seen = append(h.seen, what)
	if !ok || h.deleted {
		o.wrong = append(o.wrong, fmt.Sprintf("%s: %s does not belong there: %s", id, what, strings.Join(h.seen, ", ")))
	}
}

// deletion is closed when a container's deletion has been told. Caller holds mu.
func (o *oracle) deletion(id string) chan struct{} {
	if o.deleted[id] == nil {
		o.deleted[id] = make(chan struct{})
	}
	return o.deleted[id]
}

// await waits until a container has been told to its end, and forgets it.
func (o *oracle) await(id string) (*history, error) {
	o.mu.Lock()
	deleted := o.deletion(id)
	o.mu.Unlock()
	select {
	case <-deleted:
	case <-time.After(time.Minute):
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.of(id)
	delete(o.containers, id)
	delete(o.deleted, id)
	switch {
	case len(o.wrong) > 0:
		return h, errors.New(strings.Join(o.wrong, "\n"))
	case !h.deleted:
		return h, fmt.Errorf("%s: no delete: %s", id, strings.Join(h.seen, ", "))
	}
	return h, nil
}
