package cgroupjoin

import (
	"fmt"
	"os"
	"testing"
)

func TestCreateSetDestroy(t *testing.T) {
	c, err := New(Config{ID: "x", Path: fmt.Sprintf("/runack-test-%d-smoke", os.Getpid())})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Destroy(); err != nil {
		t.Fatal(err)
	}
	for _, p := range c.Paths() {
		if _, err := os.Stat(p); err == nil {
			t.Errorf("%s is still there", p)
		}
	}
}
