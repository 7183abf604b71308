package shim

import (
	"runtime/debug"
	"time"
)

// A shim idles for most of its life, and there may be hundreds: what a call has left on the heap goes
// back to the kernel once calls have ceased for a while, and at most this often.
const (
	giveBackAfter = 2 * time.Second
	giveBackPause = 20 * time.Second
)

// touch says that a call has been made.
func (s *Service) touch() {
	select {
	case s.touched <- struct{}{}:
	default:
	}
}

// giveMemoryBack runs until the shim ends.
func (s *Service) giveMemoryBack() {
	for range s.touched {
		for quiet := false; !quiet; {
			select {
			case <-s.touched:
			case <-time.After(giveBackAfter):
				quiet = true
			}
		}
		debug.FreeOSMemory()
		time.Sleep(giveBackPause)
	}
}
