package bundle

import (
	"math"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func (c *checker) hooks() error {
	if c.spec.Hooks == nil {
		return nil
	}
	for _, name := range hookPoints {
		for i, h := range HooksAt(c.spec.Hooks, name) {
			if err := hook(item("hooks."+name, i), &h); err != nil {
				return err
			}
		}
	}
	return nil
}

// HooksAt gives the hooks of one of the six points, by its name in the configuration; nil for an
// unknown name.
func HooksAt(h *specs.Hooks, point string) []specs.Hook {
	if h == nil {
		return nil
	}
	switch point {
	case "prestart":
		return h.Prestart //nolint:staticcheck // deprecated by the specification, and still in use
	case "createRuntime":
		return h.CreateRuntime
	case "createContainer":
		return h.CreateContainer
	case "startContainer":
		return h.StartContainer
	case "poststart":
		return h.Poststart
	case "poststop":
		return h.Poststop
	}
	return nil
}

func hook(at string, h *specs.Hook) error {
	if err := absolute(at+".path", h.Path); err != nil {
		return err
	}
	if err := allNoNUL(at+".args", h.Args); err != nil {
		return err
	}
	if err := allNoNUL(at+".env", h.Env); err != nil {
		return err
	}
	if t := h.Timeout; t != nil {
		if *t <= 0 {
			return refuse(at+".timeout", "%d: must be greater than 0", *t)
		}
		if int64(*t) > math.MaxInt64/int64(time.Second) {
			return refuse(at+".timeout", "%d: too large", *t)
		}
	}
	return nil
}
