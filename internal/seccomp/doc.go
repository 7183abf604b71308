// Package seccomp owns the way from a profile of config.json to the program that the stage loads:
// the compiler (libseccomp, in a process of its own, see folder compiler), the ENOSYS rule, the
// shape of the program, and the cache of programs. It refuses to load one.
//
// # From profile to program
//
//	profile ──► request ──► cache ── hit ─────────────────────────────► program
//	                          └ miss ─► compiler ─► table ─► assembler ──┘
//
// The request is the profile as text without anything that does not change the program: what the
// compiler gets on standard input, and what the cache's key is a hash of. libseccomp decides what a
// rule means on which architecture. Its answer is a list of comparisons, one system call after the
// other, and the kernel walks it for every system call number when it is loaded. So the answer is
// evaluated for all numbers of all its architectures, which gives a table of ranges (table.go), and the
// table is written again as a binary search (assemble.go). A test compares the two programs over all
// numbers, with an interpreter.
//
// # ENOSYS
//
// A default action of EPERM for system calls that are newer than the profile breaks programs that
// try the new one and fall back on ENOSYS. As with runc, a number above all that the profile names is
// answered with ENOSYS, unless the default action lets it pass.
package seccomp
