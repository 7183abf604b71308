// Package doctor owns the look at a host: what of it containers need, what is there, and what to do
// about the rest. It asks the kernel for features and never for its version. It refuses to change
// anything.
package doctor
