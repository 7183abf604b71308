package cgroupjoin

import (
	"maps"
	"sync"

	"github.com/opencontainers/cgroups"
	_ "github.com/opencontainers/cgroups/devices" // makes the library able to set device rules
	"github.com/opencontainers/cgroups/fs"
	"github.com/opencontainers/cgroups/fs2"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Config says which cgroup a container asks for.
type Config struct {
	ID        string
	Path      string                // linux.cgroupsPath
	Resources *specs.LinuxResources // linux.resources; nil: none
	Devices   []specs.LinuxDevice   // linux.devices: default device rules give way to these
	Systemd   bool                  // let systemd make the cgroup (--systemd-cgroup)
	// Rootless: where no path and no limits are asked for, a cgroup that cannot be made for lack
	// of permission is done without.
	Rootless    bool
	Annotations map[string]string // org.systemd.property.* become properties of the scope
	// OwnerUID and OwnerGID, in the runtime's user namespace, get a v2 cgroup with the files that
	// the kernel lists for delegation. Nil: not changed.
	OwnerUID, OwnerGID *int
}

// Saved is a Cgroup as it goes into the state file.
type Saved struct {
	Layout   Layout            `json:"layout"`
	Paths    map[string]string `json:"paths"` // controller to absolute directory, "" for v2
	Path     string            `json:"path,omitempty"`
	Systemd  bool              `json:"systemd,omitempty"`
	Slice    string            `json:"slice,omitempty"` // of the scope; empty: systemd's default
	Prefix   string            `json:"prefix,omitempty"`
	Name     string            `json:"name,omitempty"`
	Rootless bool              `json:"rootless,omitempty"`
	// Made: Create or Attach has found the cgroup to be free, and it is this container's. Until
	// then it may be another's, whose processes Destroy must not kill.
	Made bool `json:"made,omitempty"`
	// Resources as last set. An update changes some of them, and both systemd and the v2 files
	// need the others with them (a quota goes with its period).
	Resources *specs.LinuxResources `json:"resources,omitempty"`
	// Devices are the paths of linux.devices that replace default rules.
	Devices []string `json:"devices,omitempty"`
}

// Cgroup is the cgroup of one container. Its methods may be called from several goroutines, but
// Create, Set, Update, Attach, Undo and Destroy exclude each other only through the caller.
type Cgroup struct {
	saved Saved

	// Below here: not saved.
	annotations        map[string]string
	ownerUID, ownerGID *int
	created            []string // directories that Create made, parents first

	mu  sync.Mutex
	mgr cgroups.Manager // guarded by mu; made on first use
}

// New finds the paths of a container's cgroup. It touches nothing.
func New(c Config) (*Cgroup, error) {
	cg := &Cgroup{
		saved:       Saved{Path: c.Path, Systemd: c.Systemd, Rootless: c.Rootless, Resources: c.Resources},
		annotations: c.Annotations,
		ownerUID:    c.OwnerUID,
		ownerGID:    c.OwnerGID,
	}
	for i := range c.Devices {
		cg.saved.Devices = append(cg.saved.Devices, c.Devices[i].Path)
	}
	host, err := Detect()
	if err != nil {
		return nil, err
	}
	cg.saved.Layout = host.Layout
	if err := cg.findPaths(host, c); err != nil {
		return nil, err
	}
	// What is wrong with the limits themselves is said before anything is made.
	if _, err := cg.resources(c.Resources); err != nil {
		return nil, err
	}
	return cg, nil
}

func (c *Cgroup) findPaths(host Host, cfg Config) error {
	if host.Layout == None {
		return noHierarchy(c)
	}
	if cfg.Systemd {
		return c.findSystemdPaths(cfg)
	}
	inner, err := innerPath(cfg.ID, cfg.Path)
	if err != nil {
		return err
	}
	if cfg.Path == "" {
		c.saved.Name = cfg.ID
	}
	c.saved.Paths, err = findPaths(host, inner)
	return err
}

// noHierarchy: a host (or a sandbox) that mounts no cgroups can still run rootless containers.
func noHierarchy(c *Cgroup) error {
	if c.saved.Rootless && c.saved.Path == "" && !needsLimits(c.saved.Resources) {
		return nil
	}
	return &Error{Step: "find cgroup", File: cgroupRoot, Err: unix.ENOENT, Detail: "no cgroup hierarchy is mounted"}
}

// Load brings a saved cgroup back. It touches nothing.
func Load(s Saved) (*Cgroup, error) {
	s.Paths = maps.Clone(s.Paths)
	return &Cgroup{saved: s}, nil
}

// Adopt declares the cgroup to be this container's, whatever is in it: for one that is found again
// without a record.
func (c *Cgroup) Adopt() { c.saved.Made = true }

// Saved gives what Load needs. It changes with Create, Attach, Set and Update.
func (c *Cgroup) Saved() Saved {
	s := c.saved
	s.Paths = maps.Clone(s.Paths)
	return s
}

// Paths gives the absolute directories by controller, "" for the v2 hierarchy. It is empty for a
// rootless container that does without.
func (c *Cgroup) Paths() map[string]string { return maps.Clone(c.saved.Paths) }

// Layout says how the host that the cgroup was made on lays out its controllers.
func (c *Cgroup) Layout() Layout { return c.saved.Layout }

// Systemd reports whether the cgroup is a scope of systemd, which exists from Attach on.
func (c *Cgroup) Systemd() bool { return c.saved.Systemd }

// config is the library's description of this cgroup.
func (c *Cgroup) config() (*cgroups.Cgroup, error) {
	res, err := c.resources(c.saved.Resources)
	if err != nil {
		return nil, err
	}
	cfg := &cgroups.Cgroup{
		Name: c.saved.Name, Parent: c.saved.Slice, ScopePrefix: c.saved.Prefix,
		Resources: res, Systemd: c.saved.Systemd, Rootless: c.saved.Rootless, OwnerUID: c.ownerUID,
	}
	if !c.saved.Systemd {
		cfg.Path = c.saved.Path
	}
	return cfg, nil
}

// resources converts limits for this cgroup's host.
func (c *Cgroup) resources(r *specs.LinuxResources) (*cgroups.Resources, error) {
	if r != nil && len(r.Unified) > 0 && c.saved.Layout != V2 {
		return nil, &Error{Step: "set limit", File: "linux.resources.unified", Err: unix.EINVAL,
			Detail: cgroups.ErrV1NoUnified.Error()}
	}
	replaced := make([]specs.LinuxDevice, len(c.saved.Devices))
	for i, path := range c.saved.Devices {
		replaced[i].Path = path
	}
	return convert(r, replaced)
}

// manager gives the library's manager of this cgroup.
func (c *Cgroup) manager() (cgroups.Manager, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mgr != nil {
		return c.mgr, nil
	}
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	var mgr cgroups.Manager
	switch {
	case c.saved.Layout == None:
		return nil, ErrNoCgroup
	case c.saved.Systemd:
		mgr, err = c.systemdManager(cfg)
	case c.saved.Layout == V2:
		mgr, err = fs2.NewManager(cfg, c.saved.Paths[""])
	default:
		mgr, err = fs.NewManager(cfg, maps.Clone(c.saved.Paths))
	}
	if err != nil {
		return nil, explain("find cgroup", err)
	}
	c.mgr = mgr
	return mgr, nil
}
