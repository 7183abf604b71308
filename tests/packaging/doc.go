// Package packaging installs what users install, into directories of the tests' own: `make install`,
// `make uninstall` and the Debian package. It owns the checks of what is in there (that all files
// come, that pages and completions know every verb, that nothing enables itself); it refuses to
// install anything on the host.
package packaging
