package harness

import (
	"sync"
	"testing"
)

// Amount is how often a test does something: in `make soak`, and otherwise; on an emulated machine,
// where everything takes several times as long, a fifth of that.
func Amount(soak, short int) int {
	switch {
	case Soak():
		return soak
	case Slow():
		return max(short/5, 2)
	}
	return short
}

// Parallel calls f(0) ... f(n-1), width of them at a time. Their errors fail the test.
func Parallel(t testing.TB, width, n int, f func(i int) error) {
	t.Helper()
	next := make(chan int)
	var group sync.WaitGroup
	for range width {
		group.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
}
