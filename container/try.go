package container

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"runack/handshake"
)

// TryOptions say what to run in a throw-away container over the host's root file system.
type TryOptions struct {
	Args     []string // empty: a shell, or without a terminal a tour of the container
	Env      []string // NAME=VALUE
	Cwd      string   // empty: the caller's directory where the container has it, else /
	Hostname string   // empty: the container's ID
	Binds    []TryBind
	Memory   int64 // bytes; 0 for no limit
	Pids     int64 // 0 for no limit
	OwnNet   bool  // a network namespace with nothing but lo; else the host's network
	Terminal bool
	Init     bool // a small init is pid 1; without it the program has to mind what pid 1 must

	Systemd    bool
	Stdio      [3]*os.File // remain the caller's
	Transcript *handshake.Transcript
}

// A TryBind shows a path of the host's in the container, which then really writes there.
type TryBind struct {
	Source, Destination string // absolute
	ReadOnly            bool
}

// Try runs a program in a fresh container over a throw-away overlay of the host's root file system,
// waits for it, and returns its exit code. Nothing is left behind: the mounts live in a mount
// namespace of the calling thread's and end with it, and a second process waits for the death of
// this one and then clears up what a SIGKILL kept it from clearing up.
//
// Preconditions: called once, by the program's main goroutine, whose thread never comes back from
// the mount namespace.
func (s *Store) Try(o TryOptions) (int, error) {
	id, err := tryID()
	if err != nil {
		return 0, err
	}
	dir, err := tryDir(id)
	if err != nil {
		return 0, err
	}
	j, err := s.startJanitor(id, filepath.Dir(dir))
	if err != nil {
		return 0, err
	}
	defer j.dismiss()
	t := &try{store: s, opts: &o, id: id, dir: dir}
	err = t.prepare()
	code := 0
	if err == nil {
		code, err = t.run()
	}
	// To whoever sent it, a signal ends the command all the same before there is one.
	var early *Interruption
	if errors.As(err, &early) {
		code, err = 128+int(early.Signal), nil
	}
	return code, joinTeardown(err, t.remove())
}

// A try is one on its way.
type try struct {
	store *Store
	opts  *TryOptions
	id    string
	dir   string // of the bundle: an empty directory to all but this thread
}

func tryID() (string, error) {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", failed("make ID", "", err)
	}
	return "try-" + hex.EncodeToString(b[:]), nil
}

// tryDir is where the bundle of id goes. The name follows from the ID, so that the janitor knows it.
func tryDir(id string) (string, error) {
	dir, err := filepath.Abs(filepath.Join(os.TempDir(), "runack-"+id))
	return dir, failed("make bundle path", os.TempDir(), err)
}

// prepare makes the bundle: a tmpfs that nobody else sees, with the overlay and the configuration.
func (t *try) prepare() error {
	if err := unix.Mkdir(t.dir, 0o700); err != nil {
		return failed("make bundle directory", t.dir, err)
	}
	// The namespace of one thread: goroutines on other threads stay with the host's. Whatever needs
	// the bundle runs on this one, as do the clones of the stage.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		if errors.Is(err, unix.EPERM) {
			return errors.New("try: needs root (CAP_SYS_ADMIN), for a mount namespace and an overlay")
		}
		return failed("unshare mount namespace", "", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return failed("make slave mount", "/", err)
	}
	if err := unix.Mount("runack-try", t.dir, "tmpfs", unix.MS_NODEV, "mode=0700"); err != nil {
		return failed("mount tmpfs", t.dir, err)
	}
	if err := overlayHost(t.dir); err != nil {
		return err
	}
	return t.writeConfig()
}

func (t *try) writeConfig() error {
	spec, err := trySpec(t.opts, t.id, t.rootfs())
	if err != nil {
		return err
	}
	data, err := json.Marshal(spec)
	if err != nil {
		return failed("encode configuration", "", err)
	}
	path := filepath.Join(t.dir, "config.json")
	return failed("write", path, os.WriteFile(path, data, 0o600))
}

func (t *try) rootfs() string { return filepath.Join(t.dir, tryRootfs) }

func (t *try) run() (int, error) {
	o := t.opts
	return t.store.Run(RunOptions{
		CreateOptions: CreateOptions{
			ID: t.id, Bundle: t.dir, Init: o.Init, Systemd: o.Systemd,
			IO: IO{Stdio: o.Stdio}, Transcript: o.Transcript,
		},
		// Its orphans go to its own pid 1.
		NoSubreaper: true,
	})
}

// remove takes the bundle away. The overlay goes with its last mount.
func (t *try) remove() error {
	err := unix.Unmount(t.dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EPERM) {
		return failed("unmount", t.dir, err) // EINVAL, EPERM: nothing has been mounted yet
	}
	if err := unix.Rmdir(t.dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return failed("remove", t.dir, err)
	}
	return nil
}

// A janitor is a process that outlives this one and clears up then.
type janitor struct {
	cmd   *exec.Cmd
	alive *os.File // its end of file is our death
}

// TryCleanUpFlag is the option of the verb try that makes a process the janitor of an ID.
const TryCleanUpFlag = "clean-up"

// startJanitor starts it before there is anything to clear up, in the host's mount namespace. temp is
// where the bundle's directory will be, absolute.
func (s *Store) startJanitor(id, temp string) (*janitor, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, failed("make pipe", "", err)
	}
	defer r.Close()
	cmd := exec.Command("/proc/self/exe", "--root", s.Root, "try", "--"+TryCleanUpFlag, id)
	cmd.Args[0] = "runack"
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	cmd.Stdin = r
	// A session of its own: a ^C is for the container, and a hangup of the terminal too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, failed("start janitor", "", errors.Join(err, w.Close()))
	}
	return &janitor{cmd: cmd, alive: w}, nil
}

// dismiss ends it: all has been cleared up already.
func (j *janitor) dismiss() {
	_ = j.cmd.Process.Kill()
	_ = j.cmd.Wait() // killed, as it should be
	_ = j.alive.Close()
}

// TryCleanUp is the janitor: it waits until the process at the other end of alive is gone, and
// removes what that one could not.
func (s *Store) TryCleanUp(id string, alive io.Reader) error {
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM)
	dir, err := tryDir(id)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, alive); err != nil {
		return failed("wait for the end of", id, err)
	}
	t := &try{store: s, id: id, dir: dir}
	return joinTeardown(ignoreNotExist(s.Delete(id, DeleteOptions{Force: true})), t.remove())
}
