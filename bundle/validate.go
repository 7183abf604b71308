package bundle

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Validate accepts or refuses a configuration. It looks at nothing but the configuration; what
// depends on the machine is in ValidateOn. The error is a *FieldError of config.json.
func Validate(spec *specs.Spec) error {
	_, err := Check(spec)
	return err
}

// Check is Validate with the warnings: what is accepted and yet not done. What the plan warns about,
// knowing the host, is left to it: capabilities, relative destinations, flags of the personality,
// tmpcopyup of what is no tmpfs.
func Check(spec *specs.Spec) ([]Warning, error) {
	if spec == nil {
		return nil, inFile(ConfigFile, refuse("", "expected an object, got null"))
	}
	c := newChecker(spec)
	c.file = ConfigFile
	for _, check := range []func() error{
		c.version,
		c.root,
		c.containerProcess,
		c.namespaces,
		c.idMappings,
		c.processIDs,
		c.uts,
		c.timeOffsets,
		c.mounts,
		c.paths,
		c.sysctl,
		c.devices,
		c.netDevices,
		c.resources,
		c.seccomp,
		c.intelRdt,
		c.memoryPolicy,
		c.personality,
		c.hooks,
		c.annotations,
	} {
		if err := check(); err != nil {
			return nil, inFile(ConfigFile, err)
		}
	}
	return c.warnings, nil
}

// ValidateProcess checks the process of an exec. JSON paths in its errors begin with "process".
func ValidateProcess(p *specs.Process) error {
	_, err := CheckProcess(p)
	return err
}

// CheckProcess is ValidateProcess with the warnings.
func CheckProcess(p *specs.Process) ([]Warning, error) {
	if p == nil {
		return nil, refuse("process", "missing")
	}
	c := &checker{}
	if err := c.process(p, "process"); err != nil {
		return nil, err
	}
	return c.warnings, nil
}

// A checker walks over one configuration. Each check returns the first refusal it meets.
type checker struct {
	file     string // for warnings
	spec     *specs.Spec
	linux    *specs.Linux // never nil
	joined   map[specs.LinuxNamespaceType]string
	warnings []Warning
}

func newChecker(spec *specs.Spec) *checker {
	c := &checker{spec: spec, linux: spec.Linux}
	if c.linux == nil {
		c.linux = &specs.Linux{}
	}
	c.joined = make(map[specs.LinuxNamespaceType]string, len(c.linux.Namespaces))
	for _, ns := range c.linux.Namespaces {
		c.joined[ns.Type] = ns.Path
	}
	return c
}

// has tells whether the container has a namespace of its own, new or joined.
func (c *checker) has(t specs.LinuxNamespaceType) bool {
	_, ok := c.joined[t]
	return ok
}

// makes tells whether the container gets a new namespace.
func (c *checker) makes(t specs.LinuxNamespaceType) bool {
	path, ok := c.joined[t]
	return ok && path == ""
}

func (c *checker) warn(path, format string, args ...any) {
	c.warnings = append(c.warnings, Warning{File: c.file, Path: path, Text: fmt.Sprintf(format, args...)})
}

// under gives the paths of an object's members; their names are those of the specification.
func under(prefix string) func(string) string {
	if prefix != "" {
		prefix += "."
	}
	return func(name string) string { return prefix + name }
}

// A place is an element of a list, whose path is put together only when a message needs it: the
// lists are long, and the messages rare.
type place struct {
	list  string
	index int
}

func (p place) String() string { return item(p.list, p.index) }

// field is the path of one of the element's members.
func (p place) field(name string) string { return p.String() + "." + name }

// item is the path of an element of a list.
func item(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// entry is the path of a value of a map.
func entry(path, key string) string { return fmt.Sprintf("%s[%q]", path, key) }

// noNUL refuses a zero byte in a string that goes to the kernel, where it would end the string.
func noNUL(path, s string) error {
	if hasNUL(s) {
		return refuse(path, "contains a zero byte")
	}
	return nil
}

func hasNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

// allNoNUL is noNUL for a list.
func allNoNUL(path string, list []string) error {
	for i, s := range list {
		if hasNUL(s) {
			return noNUL(item(path, i), s)
		}
	}
	return nil
}

// absolute refuses a path that is empty, relative, or holds a zero byte.
func absolute(path, s string) error {
	if s == "" {
		return refuse(path, "missing")
	}
	if s[0] != '/' {
		return refuse(path, "%q: must be an absolute path", s)
	}
	return noNUL(path, s)
}

// oneLine refuses a value that would become two lines of a kernel file.
func oneLine(path, s string) error {
	if strings.ContainsAny(s, "\n\x00") {
		return refuse(path, "%q: must be a single line", s)
	}
	return nil
}
