// Command empty is the least that a program in Go can cost: a part of the floor of tests/bench. It owns
// nothing and refuses to do anything.
package main

func main() {}
