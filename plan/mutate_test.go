package plan

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// FuzzMutated changes configurations as trees, so that they stay JSON of the right types and get
// further than bytes turned at random do.
func FuzzMutated(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, uint16(seed*4711))
	}
	bases := mutationBases(f)
	f.Fuzz(func(t *testing.T, seed uint64, bits uint16) { tryMutation(t, bases, seed, bits) })
}

// TestMutated tries a fixed number of them in every run.
func TestMutated(t *testing.T) {
	bases := mutationBases(t)
	planned := 0
	for seed := range uint64(3000) {
		if tryMutation(t, bases, seed, uint16(seed*31)) {
			planned++
		}
	}
	if planned < 300 {
		t.Errorf("only %d of 3000 mutations gave a plan: they test little", planned)
	}
}

func mutationBases(t testing.TB) []string {
	t.Helper()
	var bases []string
	for _, name := range []string{"default", "docker", "rootless", "all"} {
		data, err := json.Marshal(loadSpec(t, name))
		if err != nil {
			t.Fatal(err)
		}
		bases = append(bases, string(data))
	}
	return bases
}

func tryMutation(t *testing.T, bases []string, seed uint64, bits uint16) bool {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	var tree any
	if err := json.Unmarshal([]byte(bases[r.IntN(len(bases))]), &tree); err != nil {
		t.Fatal(err)
	}
	for range 1 + r.IntN(4) {
		tree = mutate(r, tree)
	}
	data, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	var spec specs.Spec
	if json.Unmarshal(data, &spec) != nil {
		return false // a number out of the field's range
	}
	facts, o := fuzzFacts(bits)
	p, err := Create(&spec, "/b", "/b/rootfs", facts, o)
	checkFuzzed(t, p, err)
	e, execErr := Exec(&spec, spec.Process, facts, o)
	checkFuzzed(t, e, execErr)
	return err == nil
}

var mutationWords = append(slices.Clone(nastyStrings),
	"/", "//", "..", "/proc", "/proc/self/attr", "/dev", "/sys/fs/cgroup", "tmpfs", "bind", "cgroup", "cgroup2", "proc", "none", "remount",
	"rbind", "ro", "rro", "rnoatime", "idmap", "ridmap", "rshared", "CAP_SYS_ADMIN", "user", "mount", "uts", "0-3", "RLIMIT_CPU", "a=b", "=", "sh")

// mutate changes one place of a tree and gives the tree back.
func mutate(r *rand.Rand, v any) any {
	switch v := v.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		if len(keys) == 0 {
			return v
		}
		k := keys[r.IntN(len(keys))]
		if r.IntN(12) == 0 {
			delete(v, k)
		} else {
			v[k] = mutate(r, v[k])
		}
		return v
	case []any:
		return mutateList(r, v)
	case string:
		return mutationWords[r.IntN(len(mutationWords))]
	case float64:
		return []float64{0, 1, -1, 5, 4294967295, 1e6}[r.IntN(6)]
	case bool:
		return !v
	}
	return v
}

func mutateList(r *rand.Rand, v []any) any {
	if len(v) == 0 {
		return v
	}
	i := r.IntN(len(v))
	switch r.IntN(10) {
	case 0:
		return slices.Delete(v, i, i+1)
	case 1:
		return append(v, v[i])
	case 2:
		j := r.IntN(len(v))
		v[i], v[j] = v[j], v[i]
	case 3:
		return []any{}
	default:
		v[i] = mutate(r, v[i])
	}
	return v
}
