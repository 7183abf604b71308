// Package clients runs the programs that people call runack through: docker, podman, containerd and
// CRI clients, the real ones from the distribution's packages (crictl, which has none, is built from
// tests/crictl). It owns what such a client needs to be started by a test (a daemon with directories,
// sockets, cgroups, /run and a network of its own, an image made from busybox) and one named row for each
// feature that a user of the client asks for. It refuses to touch a daemon of the host, and needs no
// registry.
//
// The names of the rows are those of the table in docs/clients.md, which tests/clients/table makes
// from a run's results. A client that is not installed is skipped, and so says the table.
//
// Environment, beyond the harness's: RUNACK_CLIENTS=DIR looks for clients in DIR first, for newer
// ones than the distribution's.
package clients
