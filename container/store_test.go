package container

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() {
	// claim ROOT ID: says "won" or the error.
	helpers["claim"] = func(args []string) error {
		s := &Store{Root: args[0]}
		dir, err := s.claim(args[1])
		if err != nil {
			say("%v", err)
			return nil
		}
		defer dir.close()
		say("won")
		untilEOF()
		return nil
	}
	// hold ROOT ID: takes the lock and keeps it until its end.
	helpers["hold"] = func(args []string) error {
		s := &Store{Root: args[0]}
		dir, err := s.open(args[1])
		if err != nil {
			return err
		}
		if err := dir.lock(); err != nil {
			return err
		}
		say("ready")
		untilEOF()
		return nil
	}
	// count ROOT ID FILE N: adds 1 to a number in a file, N times, under the lock.
	helpers["count"] = func(args []string) error {
		s := &Store{Root: args[0]}
		n, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		for range n {
			dir, err := s.open(args[1])
			if err != nil {
				return err
			}
			if err := dir.locked(func() error { return increment(args[2]) }); err != nil {
				return err
			}
			dir.close()
		}
		say("done")
		return nil
	}
}

func increment(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(data))
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strconv.Itoa(n+1)), 0o600)
}

func TestClaimHasOneWinner(t *testing.T) {
	s := newStore(t)
	const callers = 12
	results := make([]string, callers)
	var wait sync.WaitGroup
	for i := range callers {
		h := startHelper(t, "claim", s.Root, "web1")
		wait.Go(func() { results[i] = h.line() })
	}
	wait.Wait()
	won := 0
	for _, r := range results {
		switch r {
		case "won":
			won++
		case ErrExist.Error():
		default:
			t.Errorf("a loser heard %q", r)
		}
	}
	if won != 1 {
		t.Errorf("%d winners: %q", won, results)
	}
}

func TestClaimRefusesBadIDs(t *testing.T) {
	s := newStore(t)
	for id, want := range map[string]error{
		"": ErrEmptyID, ".": ErrInvalidID, "..": ErrInvalidID, "a/b": ErrInvalidID, "../x": ErrInvalidID,
		"a b": ErrInvalidID, "ü": ErrInvalidID, "a\x00": ErrInvalidID,
	} {
		if _, err := s.Load(id); !errors.Is(err, want) {
			t.Errorf("Load(%q): %v, want %v", id, err, want)
		}
		if err := s.Delete(id, DeleteOptions{Force: true}); !errors.Is(err, want) {
			t.Errorf("Delete(%q): %v, want %v", id, err, want)
		}
	}
	if _, err := os.Stat(s.Root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused ID made %s: %v", s.Root, err)
	}
}

func TestLockExcludesOtherProcesses(t *testing.T) {
	s := newStore(t)
	claimed(t, s, "web1")
	file := filepath.Join(t.TempDir(), "count")
	if err := os.WriteFile(file, []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	const processes, each = 6, 50
	var wait sync.WaitGroup
	for range processes {
		h := startHelper(t, "count", s.Root, "web1", file, strconv.Itoa(each))
		wait.Go(func() { h.line() })
	}
	wait.Wait()
	data, err := os.ReadFile(file)
	if want := strconv.Itoa(processes * each); err != nil || string(data) != want {
		t.Errorf("counted %s, %v; want %s", data, err, want)
	}
}

func TestLockExcludesTwoHandlesOfOneProcess(t *testing.T) {
	s := newStore(t)
	a := claimed(t, s, "web1")
	b, err := s.open("web1")
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if err := a.lock(); err != nil {
		t.Fatal(err)
	}
	if err := b.flock(time.Millisecond); err == nil {
		t.Error("two handles hold the lock")
	}
	a.unlock()
	if err := b.lock(); err != nil {
		t.Error(err)
	}
}

func TestLockTimesOutAndIsNotTakenLater(t *testing.T) {
	s := newStore(t)
	dir := claimed(t, s, "web1")
	h := startHelper(t, "hold", s.Root, "web1")
	h.line()
	err := dir.flock(5 * time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "still held by another runack") || !strings.Contains(err.Error(), dir.path) {
		t.Fatalf("got %v", err)
	}
	h.stdin.Close()
	_ = h.cmd.Wait()
	// The wait that was given up must not keep the lock that it gets now.
	other, err := s.open("web1")
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	if err := other.lock(); err != nil {
		t.Error(err)
	}
}

func TestLockOfAKilledProcessIsFree(t *testing.T) {
	s := newStore(t)
	dir := claimed(t, s, "web1")
	h := startHelper(t, "hold", s.Root, "web1")
	h.line()
	_ = h.cmd.Process.Kill()
	if err := dir.lock(); err != nil {
		t.Error(err)
	}
}

func TestLockOfARemovedDirectory(t *testing.T) {
	s := newStore(t)
	dir := claimed(t, s, "web1")
	other, err := s.open("web1")
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	if err := dir.locked(dir.remove); err != nil {
		t.Fatal(err)
	}
	if err := other.lock(); !errors.Is(err, ErrNotExist) {
		t.Errorf("removed: %v, want %v", err, ErrNotExist)
	}
	claimed(t, s, "web1") // a new one of the same name
	if err := other.lock(); !errors.Is(err, ErrNotExist) {
		t.Errorf("made anew: %v, want %v", err, ErrNotExist)
	}
	if err := other.remove(); err != nil {
		t.Errorf("remove of the old: %v", err)
	}
	if _, err := os.Stat(other.path); err != nil {
		t.Errorf("the old handle removed the new directory: %v", err)
	}
}

func TestDeleteOfWhatIsNotThere(t *testing.T) {
	s := newStore(t)
	if err := s.Delete("web1", DeleteOptions{}); !errors.Is(err, ErrNotExist) {
		t.Errorf("delete: %v", err)
	}
	if err := s.Delete("web1", DeleteOptions{Force: true}); err != nil {
		t.Errorf("delete --force: %v", err)
	}
}

func TestDeleteOfAnEmptyDirectory(t *testing.T) {
	for _, force := range []bool{false, true} {
		s := newStore(t)
		dir := claimed(t, s, "web1") // and the runtime was killed before it wrote the record
		if _, err := s.Load("web1"); !errors.Is(err, ErrNotExist) {
			t.Errorf("load: %v", err)
		}
		err := s.Delete("web1", DeleteOptions{Force: force})
		if force != (err == nil) || !force && !errors.Is(err, ErrNotExist) {
			t.Errorf("delete, force %v: %v", force, err)
		}
		if _, err := os.Stat(dir.path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("force %v: the directory is still there: %v", force, err)
		}
	}
}

func TestListLeavesStrangersOut(t *testing.T) {
	s := newStore(t)
	write(t, claimed(t, s, "b"), &Record{Version: recordVersion, ID: "b", Phase: phaseCreating})
	write(t, claimed(t, s, "a"), &Record{Version: recordVersion, ID: "a", Phase: phaseCreating})
	claimed(t, s, "empty")
	broken := claimed(t, s, "broken")
	if err := os.WriteFile(broken.path+"/"+recordName, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Root+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.Root+"/not an id", 0o700); err != nil {
		t.Fatal(err)
	}
	rows, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		var re *RecordError
		if (r.ID == "broken") != errors.As(r.Err, &re) {
			t.Errorf("%s: %v", r.ID, r.Err)
		}
		if r.State != nil && (r.State.Status != Stopped || r.State.Pid != 0 || r.State.Owner == "") {
			t.Errorf("%s: %+v", r.ID, r.State)
		}
		got = append(got, r.ID)
	}
	if want := "a b broken"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestListOfARootThatIsNotThere(t *testing.T) {
	s := newStore(t)
	if _, err := s.List(); !errors.Is(err, unix.ENOENT) || strings.Contains(err.Error(), "no such file") {
		t.Errorf("a root that was asked for: %v", err)
	}
}

func TestDefaultRoot(t *testing.T) {
	if os.Geteuid() != 0 || inUserNamespace() {
		t.Skip("needs the host's root: others honour XDG_RUNTIME_DIR")
	}
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/0")
	if root, xdg := DefaultRoot(); root != "/run/runack" || xdg {
		t.Errorf("got %s, %v", root, xdg)
	}
}
