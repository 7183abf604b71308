package bundle

import "strings"

// annotationPrefix begins the annotations that are instructions to this runtime.
const annotationPrefix = "org.runack."

// The annotations of this runtime.
const (
	// ExecPids says what becomes of an exec that the pids limit leaves no room for.
	ExecPids = "org.runack.exec.pids"
	// Init keeps the stage as pid 1, to reap orphans and forward signals.
	Init = "org.runack.init"
)

// ownAnnotations has the values that each of them takes; the first one is what holds without it.
var ownAnnotations = []struct {
	key    string
	values []string
}{
	{ExecPids, []string{"admit", "strict"}},
	{Init, []string{"false", "true"}},
}

// annotations checks the keys, and the values of those that this runtime acts on. Others are the
// caller's, and handed on in the state as they are.
func (c *checker) annotations() error {
	if _, ok := c.spec.Annotations[""]; ok {
		return refuse("annotations", "holds an empty key")
	}
	for _, key := range sortedKeys(c.spec.Annotations) {
		if !strings.HasPrefix(key, annotationPrefix) {
			continue
		}
		if err := c.annotation(key, c.spec.Annotations[key]); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) annotation(key, value string) error {
	for _, own := range ownAnnotations {
		if own.key != key {
			continue
		}
		for _, v := range own.values {
			if v == value {
				return nil
			}
		}
		return refuse(entry("annotations", key), "%q: must be %s", value, strings.Join(own.values, " or "))
	}
	c.warn(entry("annotations", key), "unknown to this runtime, and ignored")
	return nil
}
