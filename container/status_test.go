package container

import (
	"errors"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	// listen DIR: listens on the start socket, as the stage does between created and start.
	helpers["listen"] = func(args []string) error {
		l, err := net.Listen("unix", args[0]+"/"+startSocket)
		if err != nil {
			return err
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		say("ready")
		untilEOF()
		return nil
	}
}

// dead is an identity nobody has.
var dead = Ident{Pid: 1 << 22, Start: 1}

func TestStatus(t *testing.T) {
	self := mustIdent(t, os.Getpid())
	h := startHelper(t, "idle")
	h.line()
	live := mustIdent(t, h.cmd.Process.Pid)
	const (
		noSocket = iota
		nobodyListens
		somebodyListens
	)
	for name, row := range map[string]struct {
		phase  Phase
		actor  *Ident
		init   *Ident
		socket int
		want   Status
	}{
		"creating, no init yet":                   {phaseCreating, &self, nil, noSocket, Creating},
		"creating, with init":                     {phaseCreating, &self, &live, noSocket, Creating},
		"creating, init has died":                 {phaseCreating, &self, &dead, noSocket, Creating},
		"creator died before there was an init":   {phaseCreating, &dead, nil, noSocket, Stopped},
		"creator and init died":                   {phaseCreating, &dead, &dead, noSocket, Stopped},
		"creator died, the stage hangs":           {phaseCreating, &dead, &live, noSocket, Creating},
		"creating without actor":                  {phaseCreating, nil, nil, noSocket, Stopped},
		"created":                                 {phaseCreated, nil, &live, somebodyListens, Created},
		"created, init died":                      {phaseCreated, nil, &dead, nobodyListens, Stopped},
		"starting":                                {phaseStarting, &self, &live, somebodyListens, Created},
		"starting, startContainer hooks run":      {phaseStarting, &self, &live, nobodyListens, Created},
		"starting, record of the end not written": {phaseStarting, &self, &live, noSocket, Running},
		"starter died before it said start":       {phaseStarting, &dead, &live, somebodyListens, Created},
		"starter died after it said start":        {phaseStarting, &dead, &live, nobodyListens, Running},
		"starting, init died":                     {phaseStarting, &self, &dead, nobodyListens, Stopped},
		"started":                                 {phaseStarted, nil, &live, noSocket, Running},
		"started, init died":                      {phaseStarted, nil, &dead, noSocket, Stopped},
		"started, init's pid is somebody else's":  {phaseStarted, nil, &Ident{live.Pid, live.Start + 1}, noSocket, Stopped},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			dir := claimed(t, s, "web1")
			write(t, dir, &Record{Version: recordVersion, ID: "web1", Phase: row.phase, Actor: row.actor, Init: row.init})
			if row.socket != noSocket {
				l := startHelper(t, "listen", dir.path)
				l.line()
				if row.socket == nobodyListens {
					l.stdin.Close()
					_ = l.cmd.Wait()
				}
			}
			c, err := s.Load("web1")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			state, err := c.State()
			if err != nil {
				t.Fatal(err)
			}
			if state.Status != row.want {
				t.Errorf("status %s, want %s", state.Status, row.want)
			}
			wantPid := 0
			if row.want != Stopped && row.init != nil {
				wantPid = row.init.Pid
			}
			if state.Pid != wantPid {
				t.Errorf("pid %d, want %d", state.Pid, wantPid)
			}
		})
	}
}

// TestRefusals holds the words for what a state does not allow against runc's.
func TestRefusals(t *testing.T) {
	h := startHelper(t, "idle")
	h.line()
	live := mustIdent(t, h.cmd.Process.Pid)
	record := func(p Phase, init *Ident) *Record {
		return &Record{Version: recordVersion, ID: "web1", Phase: p, Init: init, PrivatePID: true}
	}
	for name, row := range map[string]struct {
		rec  *Record
		act  func(*Store, *Container) error
		want string
	}{
		"start of a running one":  {record(phaseStarted, &live), doStart, "cannot start an already running container"},
		"start of a stopped one":  {record(phaseStarted, &dead), doStart, "cannot start a container that has stopped"},
		"start of a creating one": {record(phaseCreating, &live), doStart, "cannot start a container in the creating state"},
		"kill of a stopped one":   {record(phaseStarted, &dead), doKill, "container not running"},
		"kill before init":        {record(phaseCreating, nil), doKill, "container not running"},
		"delete of a running one": {record(phaseStarted, &live), doDelete, "cannot delete container web1 that is not stopped: running"},
		"delete of a creating one": {record(phaseCreating, &live), doDelete,
			"cannot delete container web1 that is not stopped: creating"},
		"pause of a stopped one": {record(phaseStarted, &dead), (*ofStore)(nil).pause, "container not running"},
		"resume of a running one": {record(phaseStarted, &live), (*ofStore)(nil).resume,
			"container not paused"},
		"exec in a stopped one": {record(phaseStarted, &dead), doExec, "cannot exec in a stopped container"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			write(t, claimed(t, s, "web1"), row.rec)
			c, err := s.Load("web1")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := row.act(s, c); err == nil || err.Error() != row.want {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
}

type ofStore struct{}

func (*ofStore) pause(_ *Store, c *Container) error  { return c.Pause() }
func (*ofStore) resume(_ *Store, c *Container) error { return c.Resume() }

func doStart(_ *Store, c *Container) error { return c.Start(StartOptions{}) }
func doKill(_ *Store, c *Container) error  { return c.Kill(unix.SIGTERM, false) }
func doDelete(s *Store, _ *Container) error {
	return s.Delete("web1", DeleteOptions{})
}

func doExec(_ *Store, c *Container) error {
	_, err := c.Exec(ExecOptions{Override: Override{Args: []string{"true"}}})
	return err
}

func TestStartHasOneWinner(t *testing.T) {
	h := startHelper(t, "idle")
	h.line()
	live := mustIdent(t, h.cmd.Process.Pid)
	s := newStore(t)
	write(t, claimed(t, s, "web1"), &Record{Version: recordVersion, ID: "web1", Phase: phaseCreated, Init: &live})
	claim := func() error {
		c, err := s.Load("web1")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		pidfd, err := c.beginStart()
		if err == nil {
			pidfd.Close()
		}
		return err
	}
	l := startHelper(t, "listen", s.Root+"/web1")
	l.line()
	if err := claim(); err != nil {
		t.Fatal(err)
	}
	if err := claim(); !errors.Is(err, errAlreadyRunning) {
		t.Errorf("a second start: %v", err)
	}
	// The first starter dies without a word to the stage: the next takes over.
	dir, err := s.open("web1")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.close()
	write(t, dir, &Record{Version: recordVersion, ID: "web1", Phase: phaseStarting, Actor: &dead, Init: &live})
	if err := claim(); err != nil {
		t.Errorf("after the starter's death: %v", err)
	}
}

func TestDeleteForceOfABrokenRecord(t *testing.T) {
	s := newStore(t)
	dir := claimed(t, s, "runack-test-broken-record")
	if err := os.WriteFile(dir.path+"/"+recordName, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	var re *RecordError
	if err := s.Delete("runack-test-broken-record", DeleteOptions{}); !errors.As(err, &re) {
		t.Errorf("delete: %v", err)
	}
	if err := s.Delete("runack-test-broken-record", DeleteOptions{Force: true}); err != nil {
		t.Errorf("delete --force: %v", err)
	}
	if _, err := os.Stat(dir.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}
