package container

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"runack/cgroupjoin"
)

func sampleRecord() *Record {
	return &Record{
		Version: recordVersion, OCIVersion: "1.3.0", ID: "web1", Phase: phaseCreated,
		Bundle: "/b", Rootfs: "/b/rootfs", Created: time.Unix(1700000000, 42).UTC(),
		Annotations: map[string]string{"a": "1", "line": "x\ny"},
		Actor:       &Ident{Pid: 7, Start: 8}, Init: &Ident{Pid: 9, Start: 10},
		Cgroup:     &cgroupjoin.Saved{Layout: cgroupjoin.V2, Paths: map[string]string{"": "/sys/fs/cgroup/web1"}},
		OOMBefore:  3,
		RDT:        &cgroupjoin.SavedRDT{ID: "web1", Path: "/sys/fs/resctrl/web1", Made: true},
		PrivatePID: true, Rootless: true, Systemd: true, Terminal: true, Notify: true, Agent: true, Poststart: true, Poststop: true,
	}
}

func TestRecordComesBackAsItWasWritten(t *testing.T) {
	dir := claimed(t, newStore(t), "web1")
	want := sampleRecord()
	v := reflect.ValueOf(*want)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the sample lacks %s, so this test would not see it lost", v.Type().Field(i).Name)
		}
	}
	write(t, dir, want)
	got, err := dir.readRecord()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestRecordPermissions(t *testing.T) {
	s := newStore(t)
	dir := claimed(t, s, "web1")
	write(t, dir, sampleRecord())
	for path, want := range map[string]os.FileMode{s.Root: 0o700, dir.path: 0o700, dir.path + "/" + recordName: 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s: mode %o, want %o", path, got, want)
		}
	}
}

func TestParseRecordRefuses(t *testing.T) {
	for name, row := range map[string]struct{ text, want string }{
		"empty":            {"", "not a record"},
		"cut short":        {`{"recordVersion":1,"id":"x"`, "not a record"},
		"another document": {`[1,2]`, "not a record"},
		"null":             {`null`, "record version 0"},
		"newer version":    {`{"recordVersion":2,"phase":"created"}`, "record version 2, this runack reads 1"},
		"unknown phase":    {`{"recordVersion":1,"phase":"limbo"}`, `unknown phase "limbo"`},
		"created, no init": {`{"recordVersion":1,"phase":"created"}`, "without an init process"},
		"mistyped field":   {`{"recordVersion":1,"phase":"creating","id":7}`, "not a record"},
		"too large":        {strings.Repeat(" ", maxRecord+1), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseRecord("/s/x/state.json", []byte(row.text))
			var re *RecordError
			if !errors.As(err, &re) {
				t.Fatalf("got %v, want a *RecordError", err)
			}
			for _, want := range []string{row.want, "/s/x/state.json", "delete --force"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
		})
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"recordVersion":1,"phase":"creating"}`))
	f.Add([]byte(`{"recordVersion":1,"phase":"started","init":{"pid":1,"start":2},"cgroup":{"paths":{"":"/x"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseRecord("state.json", data)
		if (r == nil) == (err == nil) {
			t.Fatalf("record %v and error %v", r, err)
		}
	})
}

// TestReadersSeeWholeRecords reads without the lock while records of different length are written.
func TestReadersSeeWholeRecords(t *testing.T) {
	s := newStore(t)
	dir := claimed(t, s, "web1")
	short, long := sampleRecord(), sampleRecord()
	long.Annotations = map[string]string{"pad": strings.Repeat("x", 64<<10)}
	write(t, dir, short)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := dir.readRecord()
				if err != nil {
					t.Errorf("read: %v", err)
					return
				}
				if n := len(r.Annotations["pad"]); n != 0 && n != 64<<10 {
					t.Errorf("a torn record: pad of %d bytes", n)
				}
			}
		})
	}
	for range 200 {
		write(t, dir, long)
		write(t, dir, short)
	}
	close(stop)
	readers.Wait()
}

func TestFailedWriteKeepsTheOldRecord(t *testing.T) {
	dir := claimed(t, newStore(t), "web1")
	old := sampleRecord()
	write(t, dir, old)
	// A directory where the temporary file should go makes the write fail before the rename.
	if err := os.Mkdir(filepath.Join(dir.path, recordName+tempSuffix), 0o700); err != nil {
		t.Fatal(err)
	}
	changed := sampleRecord()
	changed.Phase = phaseStarted
	err := dir.locked(func() error { return dir.writeRecord(changed) })
	if !errors.Is(err, unix.EISDIR) {
		t.Fatalf("got %v, want EISDIR", err)
	}
	if strings.Contains(err.Error(), "is a directory") {
		t.Errorf("%q: clients take these words for the program's", err)
	}
	got, err := dir.readRecord()
	if err != nil || got.Phase != old.Phase {
		t.Errorf("got %+v, %v; want the old record", got, err)
	}
}

func TestFailedWriteLeavesNoTemporaryFile(t *testing.T) {
	dir := claimed(t, newStore(t), "web1")
	// The rename fails: its target is a directory that is not empty.
	if err := os.MkdirAll(filepath.Join(dir.path, recordName, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := dir.locked(func() error { return dir.writeRecord(sampleRecord()) }); err == nil {
		t.Fatal("the write succeeded")
	}
	if _, err := os.Lstat(filepath.Join(dir.path, recordName+tempSuffix)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary file: %v", err)
	}
}

func TestRecordIsNoSymlink(t *testing.T) {
	dir := claimed(t, newStore(t), "web1")
	if err := os.Symlink("/etc/passwd", filepath.Join(dir.path, recordName)); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.readRecord(); !errors.Is(err, unix.ELOOP) {
		t.Errorf("got %v, want ELOOP", err)
	}
}
