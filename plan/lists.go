package plan

import (
	"slices"
	"strconv"
	"strings"
)

// maxListed bounds the CPUs and memory nodes of a list: the size of libcontainer's set.
const maxListed = 1024

// parseList reads a list of CPUs or memory nodes ("0-3,7"), sorted and without duplicates. As in
// libcontainer white space around a member and empty members are let through. The second value
// says what is wrong.
func parseList(s string) ([]int, string) {
	var seen [maxListed]bool
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.ParseUint(from, 10, 32)
		last, err2 := strconv.ParseUint(to, 10, 32)
		switch {
		case err1 != nil || err2 != nil:
			return nil, strconv.Quote(part) + " is not a number or a range"
		case first > last:
			return nil, strconv.Quote(part) + " is an empty range"
		case last >= maxListed:
			return nil, strconv.Quote(part) + " is larger than " + strconv.Itoa(maxListed-1)
		}
		for i := first; i <= last; i++ {
			seen[i] = true
		}
	}
	var list []int
	for i, in := range seen {
		if in {
			list = append(list, i)
		}
	}
	if list == nil && s != "" {
		return nil, "names nothing"
	}
	return slices.Clip(list), ""
}
