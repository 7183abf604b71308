// Package plan compiles a validated runtime-spec configuration and facts about the host into an
// ordered list of typed steps for the stage, and into data for the work that the runtime does
// outside. It owns the order of the steps and the meaning of every configuration field that ends
// up in them: mount options, namespaces, devices, capabilities, users. It refuses system calls and
// any other input or output: the same configuration, facts and options give the same plan, byte for
// byte.
package plan
