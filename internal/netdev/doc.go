// Package netdev owns moving network devices of the host into a container's network namespace
// (linux.netDevices): under their new name, with their addresses, and up. It refuses to make devices,
// and to touch one once the container is there: from then on the kernel takes it back, or
// destroys it, with the namespace.
package netdev
