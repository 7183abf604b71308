package shim

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	eventsapi "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/ttrpc"
	"github.com/sirupsen/logrus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// forwardTimeout bounds one attempt to tell containerd one event.
const forwardTimeout = 5 * time.Second

// The pause between two attempts grows from the one to the other.
const (
	retryMin = 50 * time.Millisecond
	retryMax = 2 * time.Second
)

// refusalsMax is how often one event may be refused in words before it is given up: the connection
// works, so those behind it must not wait for ever.
const refusalsMax = 5

// A publisher sends containerd the stream of events, in order, one at a time. An event waits as
// long as nobody can be reached; only one that containerd refuses time and again is dropped.
type publisher struct {
	namespace string
	send      func(context.Context, *types.Envelope) error
	ctx       context.Context // ends the publisher, sent or not
	cancel    context.CancelFunc
	drained   chan struct{} // closed when the publisher has ended

	mu      sync.Mutex
	queue   []*types.Envelope // guarded by mu; the first is being sent
	closing bool              // guarded by mu
	wake    chan struct{}
	retry   chan struct{} // has room for one: containerd is there
}

func newPublisher(namespace string, send func(context.Context, *types.Envelope) error) *publisher {
	ctx, cancel := context.WithCancel(context.Background())
	p := &publisher{
		namespace: namespace, send: send, ctx: ctx, cancel: cancel,
		drained: make(chan struct{}), wake: make(chan struct{}, 1), retry: make(chan struct{}, 1),
	}
	go p.run()
	return p
}

// publish appends an event. It never waits.
func (p *publisher) publish(topic string, event proto.Message) {
	body, err := marshalEvent(event)
	if err != nil {
		defect("event "+topic, err.Error())
		return
	}
	p.mu.Lock()
	p.queue = append(p.queue, &types.Envelope{
		Timestamp: timestamppb.Now(), Namespace: p.namespace, Topic: topic, Event: body,
	})
	p.mu.Unlock()
	p.nudge()
}

// marshalEvent uses containerd's form of type URLs, which is the bare name.
func marshalEvent(event proto.Message) (*anypb.Any, error) {
	data, err := proto.Marshal(event)
	if err != nil {
		return nil, err
	}
	return &anypb.Any{TypeUrl: string(event.ProtoReflect().Descriptor().FullName()), Value: data}, nil
}

func (p *publisher) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// hurry says that containerd has just been heard of: an event that waits for it is tried at once.
func (p *publisher) hurry() {
	select {
	case p.retry <- struct{}{}:
	default:
	}
}

func (p *publisher) run() {
	defer close(p.drained)
	for {
		e, closing := p.head()
		if e == nil {
			if closing {
				return
			}
			select {
			case <-p.wake:
			case <-p.ctx.Done():
				return
			}
			continue
		}
		if !p.deliver(e) {
			return
		}
		p.pop()
	}
}

func (p *publisher) head() (*types.Envelope, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return nil, p.closing
	}
	return p.queue[0], false
}

func (p *publisher) pop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue[0] = nil
	p.queue = p.queue[1:]
	if len(p.queue) == 0 {
		p.queue = nil // an array that once was long is not kept
	}
}

// deliver sends one event, however long it takes. False: the publisher has been ended.
func (p *publisher) deliver(e *types.Envelope) bool {
	pause, refusals := retryMin, 0
	for {
		err := p.attempt(e)
		if err == nil {
			return true
		}
		if inWords(err) {
			if refusals++; refusals >= refusalsMax {
				logrus.Errorf("event %s is dropped, containerd refuses it: %v", e.Topic, err)
				return true
			}
		}
		logrus.Debugf("event %s: %v", e.Topic, err)
		select {
		case <-p.ctx.Done():
			return false
		case <-p.retry:
			pause = retryMin
		case <-time.After(pause):
			pause = min(2*pause, retryMax)
		}
	}
}

func (p *publisher) attempt(e *types.Envelope) error {
	ctx, cancel := context.WithTimeout(p.ctx, forwardTimeout)
	defer cancel()
	return p.send(ctx, e)
}

// inWords says whether an error is containerd's answer, and not the lack of one.
func inWords(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.NotFound, codes.Unimplemented, codes.FailedPrecondition, codes.PermissionDenied:
		return true
	default:
		return false
	}
}

// close sends what is left, for at most as long as given, and ends the publisher.
func (p *publisher) close(timeout time.Duration) {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	p.nudge()
	select {
	case <-p.drained:
	case <-time.After(timeout):
		p.mu.Lock()
		left := len(p.queue)
		p.mu.Unlock()
		logrus.Errorf("%d events could not be told to containerd", left)
	}
	p.cancel()
	<-p.drained
}

// A forwarder reaches containerd's event service, and reaches it again after a restart. It belongs
// to the publisher's goroutine.
type forwarder struct {
	address string // unix:///path, or a path
	client  *ttrpc.Client
}

func (f *forwarder) send(ctx context.Context, e *types.Envelope) error {
	if f.client == nil {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", strings.TrimPrefix(f.address, "unix://"))
		if err != nil {
			return err
		}
		f.client = ttrpc.NewClient(conn)
	}
	_, err := eventsapi.NewTTRPCEventsClient(f.client).Forward(ctx, &eventsapi.ForwardRequest{Envelope: e})
	if err != nil && !inWords(err) {
		_ = f.client.Close()
		f.client = nil
	}
	return err
}
