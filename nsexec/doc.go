// Package nsexec owns the stage: the small static C program (folder stage) that carries a plan out
// inside a container's namespaces, its embedded copy, the table that says which process enters or
// makes which namespace, and the spawning of it all. It refuses policy: it does what the plan says.
package nsexec
