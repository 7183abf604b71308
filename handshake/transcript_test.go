package handshake

import (
	"bytes"
	"encoding/json"
	"regexp"
	"testing"
	"time"
)

func TestTranscript(t *testing.T) {
	start := time.Now()
	log := &Transcript{}
	run, stage := pair(t, CreateProtocol)
	run.transcript = log
	must(t, run.Send(Spawn, nil, 0, 0))
	receive(t, stage).CloseFDs()
	must(t, stage.Send(Ready, ReadyBody{Pid: 1}, 0))
	receive(t, run).CloseFDs()
	entries := log.Entries()
	if len(entries) != 2 {
		t.Fatalf("%+v", entries)
	}
	for i, want := range []Entry{{Protocol: "create", Side: Runtime, Type: Spawn, Length: 59, FDs: 2}, {Protocol: "create", Side: Stage0, Type: Ready, Length: 79, FDs: 1}} {
		got := entries[i]
		if got.Time.Before(start) || got.Mono <= 0 || i > 0 && got.Mono < entries[i-1].Mono {
			t.Errorf("times of %+v", got)
		}
		got.Time, got.Mono = time.Time{}, 0
		if got != want {
			t.Errorf("got %+v, expected %+v", got, want)
		}
	}
	var text bytes.Buffer
	must(t, log.WriteText(&text))
	if !regexp.MustCompile(`^\+0\.000ms runtime spawn seq 0, 59 bytes, 2 descriptors\n\+\d+\.\d{3}ms stage-0 ready seq 0, 79 bytes, 1 descriptor\n$`).Match(text.Bytes()) {
		t.Errorf("%s", text.Bytes())
	}
	if _, err := json.Marshal(entries); err != nil {
		t.Error(err)
	}
}

// What was refused or not sent is not in it.
func TestTranscriptOfFailures(t *testing.T) {
	log := &Transcript{}
	run, stage := pair(t, CreateProtocol)
	run.transcript, stage.transcript = log, log
	wantKind(t, run.Send(Plan, nil), KindOrder)
	must(t, run.Close())
	if _, err := stage.Receive(soon(), -1); err == nil {
		t.Error("no end of file")
	}
	if e := log.Entries(); len(e) != 0 {
		t.Errorf("%+v", e)
	}
}

func TestNilTranscript(t *testing.T) {
	var log *Transcript
	log.note(CreateProtocol, Runtime, Spawn, 0, 1, 0)
	if e := log.Entries(); e != nil {
		t.Error(e)
	}
	var b bytes.Buffer
	if must(t, log.WriteText(&b)); b.Len() != 0 {
		t.Error(b.String())
	}
}
