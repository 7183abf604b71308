package bundle

import (
	"strconv"
	"strings"
)

// maxListed is the largest CPU or memory node that a list may name plus one: the size of the set
// that libcontainer, and with it runc, works with.
const maxListed = 1024

// parseIDs reads a list of CPUs or memory nodes ("0-3,7") and counts its members. As in
// libcontainer, white space around a member and empty members are let through, and a list that
// names nothing at all is an error; the empty string is an empty list.
func parseIDs(s string) (count int, reason string) {
	if s == "" {
		return 0, ""
	}
	var seen [maxListed]bool
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		first, last, reason := parseRange(part)
		if reason != "" {
			return 0, reason
		}
		for i := first; i <= last; i++ {
			if !seen[i] {
				seen[i] = true
				count++
			}
		}
	}
	if count == 0 {
		return 0, "names nothing"
	}
	return count, ""
}

func parseRange(s string) (first, last int, reason string) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	if first, reason = parseID(from); reason == "" {
		last, reason = parseID(to)
	}
	if reason != "" {
		return 0, 0, strconv.Quote(s) + " " + reason
	}
	if first > last {
		return 0, 0, strconv.Quote(s) + " is an empty range"
	}
	return first, last, ""
}

func parseID(s string) (int, string) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, "is not a number, nor two with a hyphen between them"
	}
	if n >= maxListed {
		return 0, "is larger than " + strconv.Itoa(maxListed-1)
	}
	return int(n), ""
}

// idList refuses a malformed list of CPUs or memory nodes.
func idList(path, s string) error {
	if _, reason := parseIDs(s); reason != "" {
		return refuse(path, "%q: %s", s, reason)
	}
	return nil
}

// parseVersion reads the major and minor number of a semantic version, and checks its form.
func parseVersion(v string) (major, minor int, ok bool) {
	core, build, hasBuild := strings.Cut(v, "+")
	core, pre, hasPre := strings.Cut(core, "-")
	if hasBuild && !versionWords(build, false) || hasPre && !versionWords(pre, true) {
		return 0, 0, false
	}
	parts := strings.Split(core, ".")
	if len(parts) != 3 {
		return 0, 0, false
	}
	var numbers [3]int
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 31)
		if err != nil || p != strconv.FormatUint(n, 10) {
			return 0, 0, false
		}
		numbers[i] = int(n)
	}
	return numbers[0], numbers[1], true
}

// versionWords checks the dotted words of a pre-release or build part: letters, digits and hyphens;
// numbers of a pre-release have no leading zero.
func versionWords(s string, preRelease bool) bool {
	for word := range strings.SplitSeq(s, ".") {
		if word == "" || strings.Trim(word, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-") != "" {
			return false
		}
		if preRelease && len(word) > 1 && word[0] == '0' && strings.Trim(word, "0123456789") == "" {
			return false
		}
	}
	return true
}
