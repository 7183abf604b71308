package container

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"runack/cgroupjoin"
	"runack/internal/smallfile"
)

// The files of a state directory; start.sock is bound by nsexec.
const (
	recordName = "state.json"
	configName = "config.json"
	tempSuffix = ".new"
)

// recordVersion changes when an older runack could misread a record.
const recordVersion = 1

// maxRecord bounds what is read back; a record is a few kilobytes, annotations included.
const maxRecord = 8 << 20

// A Phase is how far the transitions of a container have come.
type Phase string

// The phases, in the order in which a record goes through them.
const (
	phaseCreating Phase = "creating" // Actor makes it
	phaseCreated  Phase = "created"  // init waits for start
	phaseStarting Phase = "starting" // Actor starts it
	phaseStarted  Phase = "started"  // init has become the container's program
)

// A Record is what the state directory keeps about a container. Everything in it is saved; what
// dies with a process (descriptors, the lock) lives in Container.
type Record struct {
	Version     int               `json:"recordVersion"`
	OCIVersion  string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Phase       Phase             `json:"phase"`
	Bundle      string            `json:"bundle"` // absolute
	Rootfs      string            `json:"rootfs"` // absolute
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`

	Actor *Ident `json:"actor,omitempty"` // the runtime that carries out creating or starting
	Init  *Ident `json:"init,omitempty"`  // known from the moment stage-1 exists

	Cgroup     *cgroupjoin.Saved    `json:"cgroup,omitempty"`
	OOMBefore  uint64               `json:"oomBefore,omitempty"` // the cgroup's OOM kills from before the container
	RDT        *cgroupjoin.SavedRDT `json:"rdt,omitempty"`
	PrivatePID bool                 `json:"privatePid,omitempty"` // init's death takes every process with it
	Rootless   bool                 `json:"rootless,omitempty"`
	Systemd    bool                 `json:"systemd,omitempty"`
	Terminal   bool                 `json:"terminal,omitempty"`

	Notify bool `json:"notify,omitempty"` // a notify socket is mounted in the container
	Agent  bool `json:"agent,omitempty"`  // the seccomp filter has a listener, which an agent gets

	// Which hooks are left for later commands, so that they need not read config.json otherwise.
	Poststart bool `json:"poststart,omitempty"`
	Poststop  bool `json:"poststop,omitempty"`
}

// A RecordError is a state.json that cannot be used: delete --force removes it.
type RecordError struct {
	Path   string
	Reason string
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("%s: %s (delete --force removes what is left)", e.Path, e.Reason)
}

// readRecord reads the record, without any lock: rename(2) replaces it whole. Errors: ErrNotExist
// where there is none (the directory was only just claimed, or is being removed), *RecordError.
func (d *stateDir) readRecord() (*Record, error) {
	path := d.path + "/" + recordName
	data, err := smallfile.ReadAt(d.fd(), recordName, unix.O_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil, ErrNotExist
	}
	if err != nil {
		return nil, failed("read record", path, err)
	}
	return parseRecord(path, data)
}

func parseRecord(path string, data []byte) (*Record, error) {
	if len(data) > maxRecord {
		return nil, &RecordError{path, fmt.Sprintf("larger than %d bytes", maxRecord)}
	}
	r, err := unmarshalRecord(data)
	if err != nil {
		return nil, &RecordError{path, "not a record: " + err.Error()}
	}
	if r.Version != recordVersion {
		return nil, &RecordError{path, fmt.Sprintf("record version %d, this runack reads %d", r.Version, recordVersion)}
	}
	switch r.Phase {
	case phaseCreating, phaseCreated, phaseStarting, phaseStarted:
	default:
		return nil, &RecordError{path, fmt.Sprintf("unknown phase %q", r.Phase)}
	}
	if r.Phase != phaseCreating && r.Init == nil {
		return nil, &RecordError{path, fmt.Sprintf("phase %s without an init process", r.Phase)}
	}
	return r, nil
}

// writeRecord replaces the record.
//
// Preconditions: the caller holds the lock.
func (d *stateDir) writeRecord(r *Record) error {
	return d.replaceFile(recordName, r.marshal())
}

// replaceFile writes a file under a temporary name and renames it, so that a reader sees the old
// or the new content and a full disk leaves the old. No fsync: the record describes processes of
// this boot, so a power failure that could lose it ends them as well.
//
// Preconditions: the caller holds the lock, so the temporary name is ours.
func (d *stateDir) replaceFile(name string, data []byte) error {
	temp := name + tempSuffix
	err := smallfile.WriteAt(d.fd(), temp, data, unix.O_NOFOLLOW, 0o600)
	if err == nil {
		err = unix.Renameat(d.fd(), temp, d.fd(), name)
	}
	if err != nil {
		_ = unix.Unlinkat(d.fd(), temp, 0)
		return failed("write", d.path+"/"+name, err)
	}
	return nil
}
