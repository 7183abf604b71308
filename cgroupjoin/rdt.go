package cgroupjoin

import (
	"errors"
	"os"
	"strings"

	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/intelrdt"
	"github.com/opencontainers/runc/types"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// RDT is a container's resctrl group: shares of a cache and of memory bandwidth. It is no cgroup,
// but a directory with a tasks file all the same, and it comes and goes with the cgroup.
type RDT struct {
	saved SavedRDT
	cfg   *configs.Config
	mgr   *intelrdt.Manager
}

// SavedRDT is an RDT as it goes into the state file.
type SavedRDT struct {
	ID     string               `json:"id"`
	Path   string               `json:"path,omitempty"`
	Made   bool                 `json:"made,omitempty"` // the directory was made by Apply
	Config *specs.LinuxIntelRdt `json:"config"`
}

// NewRDT prepares the group of linux.intelRdt. It touches nothing.
func NewRDT(id string, r *specs.LinuxIntelRdt) (*RDT, error) {
	// "/" is the default group, the root of the file system (config-linux.md).
	if r.ClosID == "." || r.ClosID == ".." || r.ClosID != "/" && strings.ContainsAny(r.ClosID, "/\n") {
		return nil, rdtError("closID "+r.ClosID, unix.EINVAL, "invalid intelRdt.ClosID")
	}
	if !intelrdt.IsEnabled() {
		return nil, rdtError("", unix.ENOENT, "intelRdt is specified in config, but Intel RDT is not enabled")
	}
	if err := CheckSchemas(r.L3CacheSchema, r.MemBwSchema); err != nil {
		return nil, err
	}
	return LoadRDT(SavedRDT{ID: id, Config: r})
}

// CheckSchemas refuses, in runc's words, what the machine has not.
func CheckSchemas(l3, bandwidth string) error {
	if l3 != "" && !intelrdt.IsCATEnabled() {
		return rdtError("", unix.ENOENT, "Intel RDT/CAT: l3 cache schema is not enabled")
	}
	if bandwidth != "" && !intelrdt.IsMBAEnabled() {
		return rdtError("", unix.ENOENT, "Intel RDT/MBA: memory bandwidth schema is not enabled")
	}
	return nil
}

// LoadRDT brings a saved group back.
func LoadRDT(s SavedRDT) (*RDT, error) {
	cfg := &configs.Config{IntelRdt: &configs.IntelRdt{
		ClosID: s.Config.ClosID, Schemata: s.Config.Schemata, L3CacheSchema: s.Config.L3CacheSchema,
		MemBwSchema: s.Config.MemBwSchema, EnableMonitoring: s.Config.EnableMonitoring,
	}}
	mgr := intelrdt.NewManager(cfg, s.ID, s.Path)
	if mgr == nil {
		return nil, rdtError("", unix.ENOENT, "Intel RDT is not enabled")
	}
	return &RDT{saved: s, cfg: cfg, mgr: mgr}, nil
}

// Saved gives what LoadRDT needs. It changes with Apply and Update.
func (r *RDT) Saved() SavedRDT { return r.saved }

// Apply makes the group and puts a process in it.
func (r *RDT) Apply(pid int) error {
	_, err := os.Lstat(r.mgr.GetPath())
	existed := err == nil
	if err := r.mgr.Apply(pid); err != nil {
		return explainRDT(err)
	}
	r.saved.Path, r.saved.Made = r.mgr.GetPath(), !existed
	return nil
}

// Join puts a later process in the group.
func (r *RDT) Join(pid int) error {
	if err := intelrdt.WriteIntelRdtTasks(r.mgr.GetPath(), pid); err != nil {
		return explainRDT(err)
	}
	return nil
}

// Set writes the schemata.
func (r *RDT) Set() error {
	if err := r.mgr.Set(r.cfg); err != nil {
		return explainRDT(err)
	}
	return nil
}

// Update changes a schema that CheckSchemas has passed; an empty one stays.
func (r *RDT) Update(l3, bandwidth string) error {
	old, oldConfig := *r.cfg.IntelRdt, *r.saved.Config
	config := oldConfig
	if l3 != "" {
		r.cfg.IntelRdt.L3CacheSchema, config.L3CacheSchema = l3, l3
	}
	if bandwidth != "" {
		r.cfg.IntelRdt.MemBwSchema, config.MemBwSchema = bandwidth, bandwidth
	}
	if err := r.Set(); err != nil {
		*r.cfg.IntelRdt = old
		return errors.Join(err, r.Set())
	}
	r.saved.Config = &config
	return nil
}

// Destroy removes what Apply made. A group with a name of its own (closID) is shared: it stays.
func (r *RDT) Destroy() error {
	if r.saved.Config.ClosID == "" && r.saved.Made && r.saved.Path != "" {
		if err := os.Remove(r.saved.Path); err != nil && !errors.Is(err, unix.ENOENT) {
			return explain("remove resctrl group", err)
		}
		return nil
	}
	if err := r.mgr.Destroy(); err != nil {
		return explain("remove resctrl group", err)
	}
	return nil
}

func (r *RDT) addStats(out *types.IntelRdt) error {
	s, err := r.mgr.GetStats()
	if err != nil {
		return explainRDT(err)
	}
	if intelrdt.IsCATEnabled() && s.L3CacheInfo != nil {
		info := types.L3CacheInfo(*s.L3CacheInfo)
		out.L3CacheInfo, out.L3CacheSchemaRoot, out.L3CacheSchema = &info, s.L3CacheSchemaRoot, s.L3CacheSchema
	}
	if intelrdt.IsMBAEnabled() && s.MemBwInfo != nil {
		info := types.MemBwInfo(*s.MemBwInfo)
		out.MemBwInfo, out.MemBwSchemaRoot, out.MemBwSchema = &info, s.MemBwSchemaRoot, s.MemBwSchema
	}
	if intelrdt.IsMBMEnabled() {
		out.MBMStats = s.MBMStats
	}
	if intelrdt.IsCMTEnabled() {
		out.CMTStats = s.CMTStats
	}
	out.Schemata = s.Schemata
	return nil
}

func rdtError(object string, errno unix.Errno, why string) error {
	return &Error{Step: "use resctrl", File: object, Err: errno, Detail: why}
}

func explainRDT(err error) error { return explain("use resctrl", err) }
