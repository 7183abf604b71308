package plan

import (
	"fmt"
	"strconv"

	"runack/internal/specjson"
)

// WireSteps gives the steps as the stage reads them: a JSON array of objects, each with its "op".
// It is written by hand because it is on the start path, where encoding/json's first use of some
// forty types costs more than the whole plan; a test holds it against encoding/json.
func (p *Plan) WireSteps() ([]byte, error) {
	w := wire{buf: make([]byte, 0, 256*len(p.Steps))}
	w.buf = append(w.buf, '[')
	for i, s := range p.Steps {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		if err := w.step(s); err != nil {
			return nil, fmt.Errorf("plan: step %d: %w", i, err)
		}
	}
	return append(w.buf, ']'), nil
}

// wire appends one JSON object after the other.
type wire struct{ buf []byte }

func (w *wire) key(name string) {
	w.buf = append(w.buf, ',', '"')
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, '"', ':')
}

func (w *wire) str(name, v string) {
	w.key(name)
	w.buf = specjson.AppendString(w.buf, v)
}

func (w *wire) u64(name string, v uint64) {
	w.key(name)
	w.buf = strconv.AppendUint(w.buf, v, 10)
}

func (w *wire) i64(name string, v int64) {
	w.key(name)
	w.buf = strconv.AppendInt(w.buf, v, 10)
}

// The opt forms leave out a zero value, as the tag omitempty does.

func (w *wire) optStr(name, v string) {
	if v != "" {
		w.str(name, v)
	}
}

func (w *wire) optU64(name string, v uint64) {
	if v != 0 {
		w.u64(name, v)
	}
}

func (w *wire) optI64(name string, v int64) {
	if v != 0 {
		w.i64(name, v)
	}
}

func (w *wire) optTrue(name string, v bool) {
	if v {
		w.key(name)
		w.buf = append(w.buf, "true"...)
	}
}

func (w *wire) optFD(fd *int) {
	if fd != nil {
		w.i64("fd", int64(*fd))
	}
}

func (w *wire) optID(name string, id *int64) {
	if id != nil {
		w.i64(name, *id)
	}
}

func (w *wire) strs(name string, list []string) {
	w.key(name)
	w.buf = append(w.buf, '[')
	for i, s := range list {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.buf = specjson.AppendString(w.buf, s)
	}
	w.buf = append(w.buf, ']')
}

func (w *wire) optStrs(name string, list []string) {
	if len(list) > 0 {
		w.strs(name, list)
	}
}

func numbers[T int | int64 | uint64](w *wire, name string, list []T) {
	w.key(name)
	w.buf = append(w.buf, '[')
	for i, n := range list {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		if n < 0 {
			w.buf = strconv.AppendInt(w.buf, int64(n), 10)
		} else {
			w.buf = strconv.AppendUint(w.buf, uint64(n), 10)
		}
	}
	w.buf = append(w.buf, ']')
}

func optNumbers[T int | int64 | uint64](w *wire, name string, list []T) {
	if len(list) > 0 {
		numbers(w, name, list)
	}
}

func (w *wire) step(s Step) error {
	if s == nil {
		return fmt.Errorf("none")
	}
	w.buf = append(w.buf, `{"op":"`...)
	w.buf = append(w.buf, s.Op()...)
	w.buf = append(w.buf, '"')
	if !w.fileStep(s) && !w.processStep(s) && !w.lastStep(s) {
		return fmt.Errorf("unknown type %T", s)
	}
	w.buf = append(w.buf, '}')
	return nil
}

// fileStep appends the fields of the steps around the root file system.
func (w *wire) fileStep(s Step) bool {
	switch s := s.(type) {
	case Propagation:
		w.u64("flags", s.Flags)
	case Root:
		w.str("path", s.Path)
		w.optFD(s.FD)
		w.optU64("parent", s.Parent)
		w.optTrue("plain", s.Plain)
	case Mount:
		w.mount(s)
	case Bind:
		w.bind(s)
	case Remount:
		w.str("target", s.Target)
		w.optTrue("bind", s.Bind)
		w.optU64("sbFlags", s.SBFlags)
		w.optStrs("options", s.Options)
		w.optU64("set", s.Set)
		w.optU64("clear", s.Clear)
	case Mkdir:
		w.str("path", s.Path)
		w.u64("mode", uint64(s.Mode))
		w.optID("uid", s.UID)
		w.optID("gid", s.GID)
	case Symlink:
		w.str("path", s.Path)
		w.str("target", s.Target)
		w.optTrue("keep", s.Keep)
		w.optTrue("replace", s.Replace)
	case Device:
		w.device(s)
	case Pivot:
		w.str("method", s.Method)
		w.optU64("propagation", s.Propagation)
		w.optTrue("devNull", s.DevNull)
	case RootAttr:
		w.u64("set", s.Set)
	case MountAttr:
		w.str("target", s.Target)
		w.u64("set", s.Set)
	case Readonly:
		w.str("path", s.Path)
	case Mask:
		w.str("path", s.Path)
		w.optStr("label", s.Label)
	default:
		return false
	}
	return true
}

func (w *wire) mount(s Mount) {
	w.str("target", s.Target)
	w.str("type", s.Type)
	w.optStr("source", s.Source)
	w.optU64("sbFlags", s.SBFlags)
	w.optU64("set", s.Set)
	w.optStrs("options", s.Options)
	optNumbers(w, "propagation", s.Propagation)
	w.optU64("recSet", s.RecSet)
	w.optU64("recClear", s.RecClear)
	w.optTrue("copyUp", s.CopyUp)
	w.optStr("label", s.Label)
	w.optStr("refused", s.Refused)
	w.optStr("instead", s.Instead)
}

func (w *wire) bind(s Bind) {
	w.str("target", s.Target)
	w.str("source", s.Source)
	w.optFD(s.FD)
	w.optTrue("inside", s.Inside)
	w.optTrue("recursive", s.Recursive)
	w.optU64("set", s.Set)
	w.optU64("clear", s.Clear)
	w.optU64("must", s.Must)
	w.optU64("recSet", s.RecSet)
	w.optU64("recClear", s.RecClear)
	optNumbers(w, "propagation", s.Propagation)
	w.optStr("label", s.Label)
}

func (w *wire) device(s Device) {
	w.str("path", s.Path)
	w.str("type", s.Type)
	w.i64("major", s.Major)
	w.i64("minor", s.Minor)
	w.u64("mode", uint64(s.Mode))
	w.i64("uid", s.UID)
	w.i64("gid", s.GID)
	w.optTrue("bind", s.Bind)
}

// processStep appends the fields of the steps about namespaces and the process itself.
func (w *wire) processStep(s Step) bool {
	switch s := s.(type) {
	case Keyring:
		w.str("name", s.Name)
		w.optStr("label", s.Label)
		w.optU64("perm", uint64(s.Perm))
	case Loopback, SyncMounted:
	case Hook:
		w.hook(s)
	case Console:
		w.optTrue("mount", s.Mount)
		w.optU64("rows", uint64(s.Rows))
		w.optU64("cols", uint64(s.Cols))
		w.i64("uid", s.UID)
		w.optStr("label", s.Label)
	case Sysctl:
		w.str("key", s.Key)
		w.str("value", s.Value)
	case Hostname:
		w.str("name", s.Name)
	case Domainname:
		w.str("name", s.Name)
	case Umask:
		w.u64("mask", uint64(s.Mask))
	case Personality:
		w.u64("domain", s.Domain)
	case Scheduler:
		w.scheduler(s)
	case IOPriority:
		w.i64("class", int64(s.Class))
		w.i64("priority", int64(s.Priority))
	case MemoryPolicy:
		w.i64("mode", int64(s.Mode))
		optNumbers(w, "nodes", s.Nodes)
	case Affinity:
		numbers(w, "cpus", s.CPUs)
	default:
		return false
	}
	return true
}

func (w *wire) hook(s Hook) {
	w.str("point", s.Point)
	w.i64("index", int64(s.Index))
	w.str("path", s.Path)
	w.strs("args", s.Args)
	w.strs("env", s.Env)
	w.optI64("timeout", s.Timeout)
}

func (w *wire) scheduler(s Scheduler) {
	w.u64("policy", uint64(s.Policy))
	w.optU64("flags", s.Flags)
	w.optI64("nice", int64(s.Nice))
	w.optU64("priority", uint64(s.Priority))
	w.optU64("runtime", s.Runtime)
	w.optU64("deadline", s.Deadline)
	w.optU64("period", s.Period)
}

// lastStep appends the fields of the steps from the working directory to execve.
func (w *wire) lastStep(s Step) bool {
	switch s := s.(type) {
	case Cwd:
		w.str("path", s.Path)
		w.optTrue("make", s.Make)
		w.optTrue("retry", s.Retry)
	case ExecLabel:
		w.str("kind", s.Kind)
		w.str("label", s.Label)
	case Home:
		w.i64("uid", s.UID)
	case Stdio:
		w.i64("uid", s.UID)
	case Lookup:
		w.str("name", s.Name)
		w.optStr("path", s.Path)
	case SyncCreated:
		w.i64("fd", int64(s.FD))
	case Hold:
		w.i64("fd", int64(s.FD))
		w.optTrue("detach", s.Detach)
	case Init:
		w.optTrue("subreaper", s.Subreaper)
	case Bounding:
		w.u64("keep", s.Keep)
	case User:
		w.i64("uid", s.UID)
		w.i64("gid", s.GID)
		numbers(w, "groups", s.Groups)
		w.optTrue("noGroups", s.NoGroups)
	case Caps:
		w.u64("effective", s.Effective)
		w.u64("permitted", s.Permitted)
		w.u64("inheritable", s.Inheritable)
		w.u64("ambient", s.Ambient)
	case NoNewPrivs, SyncExecuting, Signals:
	case Seccomp:
		w.str("program", s.Program)
		w.optU64("flags", s.Flags)
		w.optTrue("listener", s.Listener)
	case CloseFDs:
		w.i64("keep", int64(s.Keep))
		w.optTrue("limit", s.Limit)
		w.optU64("soft", s.Soft)
		w.optU64("hard", s.Hard)
	case Execute:
		w.strs("args", s.Args)
		w.strs("env", s.Env)
		w.optTrue("listenPid", s.ListenPID)
	default:
		return false
	}
	return true
}
