package bundle

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/bundle/specfields"
)

// elsewhere are the parts of the configuration that neither validation nor the plan makes anything
// of, with who does and which test shows it.
var elsewhere = map[string]string{
	"annotations":             "kept in the record: TestAnnotationsAreKept",
	"hooks.prestart":          "package hooks: TestHooksRunInTheirOrder",
	"hooks.createRuntime":     "package hooks: TestHooksRunInTheirOrder",
	"hooks.poststart":         "package hooks: TestHooksRunInTheirOrder",
	"hooks.poststop":          "package hooks: TestHooksRunInTheirOrder",
	"linux.cgroupsPath":       "package cgroupjoin: TestPathsAreTheLibrarys",
	"linux.resources":         "package cgroupjoin: its own test of every field",
	"linux.seccomp":           "compiled before the plan is made: TestSeccompActions and the like",
	"root.path":               "the plan is handed what Load has found: TestARootThatIsNoneIsRefused",
	"process.execCPUAffinity": "of an exec: TestTheCPUAffinity",
}

// fieldsMissingInAll completes testdata/all.config.json of the plan, which has what the plan has
// steps for.
const fieldsMissingInAll = `{
	"annotations": {"a": "b"},
	"mounts": [
		{"destination": "/a", "type": "bind", "source": "/b", "options": ["ro"],
		 "uidMappings": [{"containerID": 3, "hostID": 4, "size": 5}], "gidMappings": [{"containerID": 3, "hostID": 4, "size": 5}]},
		{"destination": "/c", "type": "tmpfs", "source": "x"}
	],
	"process": {"terminal": true, "consoleSize": {"height": 3, "width": 4}, "noNewPrivileges": true,
		"rlimits": [{"type": "RLIMIT_CORE", "soft": 5, "hard": 6}]},
	"hooks": {
		"prestart": [{"path": "/h", "args": ["h"], "env": ["A=1"], "timeout": 1}],
		"createRuntime": [{"path": "/h", "args": ["h"], "env": ["A=1"], "timeout": 1}],
		"createContainer": [{"path": "/h", "args": ["h"], "env": ["A=1"], "timeout": 1}],
		"startContainer": [{"path": "/h", "args": ["h2"], "env": ["A=1"], "timeout": 1}],
		"poststart": [{"path": "/h", "args": ["h"], "env": ["A=1"], "timeout": 1}],
		"poststop": [{"path": "/h", "args": ["h"], "env": ["A=1"], "timeout": 1}]
	},
	"linux": {
		"cgroupsPath": "/x",
		"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 10000}, {"containerID": 20000, "hostID": 200000, "size": 5}],
		"gidMappings": [{"containerID": 0, "hostID": 100000, "size": 10000}, {"containerID": 20000, "hostID": 200000, "size": 5}],
		"personality": {"domain": "LINUX32", "flags": ["x"]},
		"intelRdt": {"closID": "c", "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=20", "schemata": ["L2:0=f"], "enableMonitoring": true},
		"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}
	}
}`

// TestEveryFieldHasAnEffect takes each field out of a configuration that has all of them. Something
// has to change by that: what is refused, what is warned about, or what is planned. A field that
// could go and nobody would notice is ignored in silence.
func TestEveryFieldHasAnEffect(t *testing.T) {
	effective := map[string]bool{}
	for _, scheduler := range []string{
		`{"policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RESET_ON_FORK"], "runtime": 1000000, "deadline": 2000000, "period": 3000000}`,
		`{"policy": "SCHED_OTHER", "nice": 5}`, `{"policy": "SCHED_FIFO", "priority": 5}`,
	} {
		whole := outcome(t, allFields(t, scheduler))
		if strings.HasPrefix(whole, "refused") {
			t.Fatal(whole)
		}
		for _, field := range specfields.Config() {
			without := allFields(t, scheduler)
			cut(without, strings.Split(strings.NewReplacer("[]", ".[]", "{}", ".{}").Replace(field), "."))
			effective[field] = effective[field] || outcome(t, without) != whole
		}
	}
	for _, field := range specfields.Config() {
		if !effective[field] && !isElsewhere(field) {
			t.Errorf("%s: it makes no difference whether it is there", field)
		}
	}
}

func isElsewhere(field string) bool {
	for prefix := range elsewhere {
		if strings.HasPrefix(field, prefix) {
			return true
		}
	}
	return false
}

func allFields(t testing.TB, scheduler string) map[string]any {
	t.Helper()
	text, err := os.ReadFile("../plan/testdata/all.config.json")
	must(t, err)
	var tree, more map[string]any
	must(t, json.Unmarshal(text, &tree))
	must(t, json.Unmarshal([]byte(fieldsMissingInAll), &more))
	merge(tree, more)
	tree["process"].(map[string]any)["scheduler"] = json.RawMessage(scheduler)
	return flatten(t, tree)
}

// flatten makes raw parts a part of the tree.
func flatten(t testing.TB, tree map[string]any) (out map[string]any) {
	t.Helper()
	must(t, json.Unmarshal(marshal(t, tree), &out))
	return out
}

// merge adds what tree lacks, and replaces values that are no objects.
func merge(tree, more map[string]any) {
	for key, value := range more {
		inner, isObject := value.(map[string]any)
		if old, ok := tree[key].(map[string]any); ok && isObject {
			merge(old, inner)
			continue
		}
		tree[key] = value
	}
}

// cut takes a field away wherever its path leads.
func cut(node any, path []string) {
	switch node := node.(type) {
	case map[string]any:
		switch {
		case path[0] == "{}":
			for _, value := range node {
				cut(value, path[1:])
			}
		case len(path) == 1:
			delete(node, path[0])
		default:
			cut(node[path[0]], path[1:])
		}
	case []any:
		for _, value := range node {
			cut(value, path[1:])
		}
	}
}

// outcome is all that this room and the plan make of a configuration.
func outcome(t *testing.T, tree map[string]any) string {
	t.Helper()
	var spec specs.Spec
	must(t, json.Unmarshal(marshal(t, tree), &spec))
	complete(&spec)
	warnings, err := Check(&spec)
	if err != nil {
		return "refused: " + err.Error()
	}
	p, err := makePlan(&spec)
	if err != nil {
		return "refused by the plan: " + err.Error()
	}
	return string(marshal(t, warnings)) + string(marshal(t, p))
}
