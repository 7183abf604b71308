package handshake

import (
	"io"
	"strconv"
	"sync"
	"time"
)

// An Entry is one frame of a conversation.
type Entry struct {
	Time     time.Time `json:"time"`
	Mono     int64     `json:"mono"` // nanoseconds of CLOCK_MONOTONIC, as in StepTime
	Protocol string    `json:"protocol"`
	Side     Side      `json:"side"` // who wrote it
	Type     Type      `json:"type"`
	Seq      uint32    `json:"seq"`
	Length   int       `json:"length"` // of the payload, in bytes
	FDs      int       `json:"fds,omitempty"`
}

// A Transcript keeps every frame that went over the connections that share it and, where Times is
// set, what took how long. A nil *Transcript is usable and records nothing. Its methods may be
// called from several goroutines.
type Transcript struct {
	Times bool // also keep spans; set before the first use

	mu      sync.Mutex
	entries []Entry       // guarded by mu
	spans   []Span        // guarded by mu
	steps   []string      // of the stage's plan; guarded by mu
	ahead   time.Duration // the stage's clock; guarded by mu
}

// note records a frame that has been sent or received whole.
func (t *Transcript) note(p Protocol, side Side, typ Type, seq uint32, length, fds int) {
	if t == nil {
		return
	}
	e := Entry{time.Now(), monotonic(), p.String(), side, typ, seq, length, fds}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries = append(t.entries, e)
}

// Entries returns a copy of what has been recorded, oldest first.
func (t *Transcript) Entries() []Entry {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Entry(nil), t.entries...)
}

// WriteText writes one line per frame, times relative to the first:
//
//	+0.412ms stage-0 ready seq 0, 71 bytes, 1 descriptor
func (t *Transcript) WriteText(w io.Writer) error {
	entries := t.Entries()
	var b []byte
	for i := range entries {
		b = entries[i].appendText(b, entries[0].Mono)
		b = append(b, '\n')
	}
	_, err := w.Write(b)
	return err
}

func (e *Entry) appendText(b []byte, start int64) []byte {
	b = append(b, '+')
	b = strconv.AppendFloat(b, float64(e.Mono-start)/1e6, 'f', 3, 64)
	b = append(b, "ms "...)
	b = append(b, e.Side...)
	b = append(b, ' ')
	b = append(b, e.Type...)
	b = append(b, " seq "...)
	b = strconv.AppendUint(b, uint64(e.Seq), 10)
	b = append(b, ", "...)
	b = strconv.AppendInt(b, int64(e.Length), 10)
	b = append(b, " bytes"...)
	if e.FDs > 0 {
		b = append(b, ", "...)
		b = strconv.AppendInt(b, int64(e.FDs), 10)
		b = append(b, " descriptor"...)
		if e.FDs > 1 {
			b = append(b, 's')
		}
	}
	return b
}
