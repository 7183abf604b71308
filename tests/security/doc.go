// Package security repeats the attacks that other runtimes fell to, each as a test that is named
// after its issue and that really attacks. It refuses to assert what a guard looks like: the test
// is what the attacker is left with.
package security
