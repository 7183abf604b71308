// Command oracle says what program runc's libcontainer loads for a profile, for the differential test
// of package seccomp. It is a program of its own because libcontainer's seccomp needs cgo and a
// libseccomp that is linked dynamically. It refuses to be anything but a test's tool.
//
//	oracle          reads profiles as lines of JSON, writes an Answer for each
//	oracle load     reads one profile and loads it, watched by the first
package main

// An Answer is a program as struct sock_filter[], or why there is none.
type Answer struct {
	Program []byte
	Flags   uint64
	Error   string
}

func main() { run() }
