package bundle

// ValidateID accepts the container ids that runc accepts: one or more ASCII letters, digits, and
// any of "_+-.", but neither "." nor "..", since the id names a directory.
func ValidateID(id string) error {
	if id == "" || id == "." || id == ".." {
		return ErrInvalidID
	}
	for i := range len(id) {
		if !validIDByte(id[i]) {
			return ErrInvalidID
		}
	}
	return nil
}

func validIDByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return c == '_' || c == '+' || c == '-' || c == '.'
}
