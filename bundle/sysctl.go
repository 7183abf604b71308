package bundle

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// ipcSysctls belong to the IPC namespace, besides everything below fs.mqueue (ipc_namespaces(7)).
var ipcSysctls = []string{
	"kernel.msgmax",
	"kernel.msgmnb",
	"kernel.msgmni",
	"kernel.sem",
	"kernel.shm_rmid_forced",
	"kernel.shmall",
	"kernel.shmmax",
	"kernel.shmmni",
}

// sysctl lets a container set the kernel parameters that belong to a namespace of its own, as runc
// does. Whether a joined network namespace is the runtime's own is ValidateOn's question.
func (c *checker) sysctl() error {
	for _, key := range sortedKeys(c.linux.Sysctl) {
		at := entry("linux.sysctl", key)
		name, err := dottedSysctl(at, key)
		if err != nil {
			return err
		}
		if err := noNUL(at, c.linux.Sysctl[key]); err != nil {
			return err
		}
		if err := c.sysctlNamespace(at, name); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) sysctlNamespace(at, name string) error {
	need := func(t specs.LinuxNamespaceType) error {
		if c.has(t) {
			return nil
		}
		return refuse(at, "needs the container's own %s namespace, and linux.namespaces has none", t)
	}
	switch {
	case slices.Contains(ipcSysctls, name), strings.HasPrefix(name, "fs.mqueue."):
		return need(specs.IPCNamespace)
	case strings.HasPrefix(name, "net."):
		return need(specs.NetworkNamespace)
	case name == "kernel.domainname":
		return need(specs.UTSNamespace)
	case name == "kernel.hostname":
		return refuse(at, "conflicts with the field hostname: use that")
	case strings.HasPrefix(name, "user."):
		// The limits of user_namespaces(7) would be the host's, and could switch on what its
		// administrator has switched off.
		return need(specs.UserNamespace)
	}
	return refuse(at, "belongs to no namespace: it would change the host")
}

// dottedSysctl gives the name of a kernel parameter with dots between its parts. Like sysctl(8) it
// takes the first of "." and "/" for the separator, and the other one for a part of the name, so
// that net/ipv4/conf/eth0.100/forwarding and net.ipv4.conf.eth0/100.forwarding are the same. A part
// that is empty or climbs in the tree is refused: it would name another parameter than the one that
// is checked.
func dottedSysctl(at, key string) (string, error) {
	name := key
	if first := strings.IndexAny(key, "./"); first >= 0 && key[first] == '/' {
		name = strings.Map(swapSeparators, key)
	}
	for part := range strings.SplitSeq(name, ".") {
		// Within a part "/" stands for ".", so "//" would be the parent directory.
		if part == "" || strings.Trim(part, "/") == "" {
			return "", refuse(at, "not the name of a kernel parameter")
		}
	}
	return name, noNUL(at, key)
}

func swapSeparators(r rune) rune {
	switch r {
	case '.':
		return '/'
	case '/':
		return '.'
	}
	return r
}
