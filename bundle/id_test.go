package bundle

import (
	"errors"
	"strings"
	"testing"
)

func TestValidateID(t *testing.T) {
	for _, id := range []string{"a", "web1", "A-b_c+d.e", "0", "-", "...", ".a", "a..", strings.Repeat("f", 64), "+"} {
		if err := ValidateID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, id := range []string{"", ".", "..", "a/b", "/", "a b", "a\n", "a\x00", "ä", "a:b", "a*", "~", "a@b", "\xff"} {
		err := ValidateID(id)
		if !errors.Is(err, ErrInvalidID) || err.Error() != "invalid container ID format" {
			t.Errorf("%q: got %v", id, err)
		}
	}
}

// TestValidateIDBytes takes every byte: 66 may be in an id.
func TestValidateIDBytes(t *testing.T) {
	const good = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-."
	for c := range 256 {
		id := "x" + string([]byte{byte(c)})
		if ok := ValidateID(id) == nil; ok != (strings.IndexByte(good, byte(c)) >= 0) {
			t.Errorf("byte %#x: accepted %v", c, ok)
		}
	}
}
