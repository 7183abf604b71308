package main

import (
	"strings"
	"testing"
)

func TestPage(t *testing.T) {
	const stream = `
{"Action":"run","Package":"runack/tests/clients","Test":"TestDocker"}
{"Action":"output","Package":"runack/tests/clients","Test":"TestDocker","Output":"    main_test.go:61: client: docker: client 20.10, daemon 20.10\n"}
{"Action":"run","Package":"runack/tests/clients","Test":"TestDocker/run_-i"}
{"Action":"pass","Package":"runack/tests/clients","Test":"TestDocker/run_-i"}
{"Action":"run","Package":"runack/tests/clients","Test":"TestDocker/a/b"}
{"Action":"output","Package":"runack/tests/clients","Test":"TestDocker/a/b","Output":"    a_test.go:7: no such device here\n"}
{"Action":"output","Package":"runack/tests/clients","Test":"TestDocker/a/b","Output":"--- SKIP: TestDocker/a/b (0.00s)\n"}
{"Action":"skip","Package":"runack/tests/clients","Test":"TestDocker/a/b"}
{"Action":"fail","Package":"runack/tests/clients","Test":"TestDocker"}
not a line of the stream
{"Action":"run","Package":"runack/tests/clients/table","Test":"TestPage"}
{"Action":"run","Package":"runack/tests/clients","Test":"TestDockerUserns"}
{"Action":"output","Package":"runack/tests/clients","Test":"TestDockerUserns","Output":"    main_test.go:61: client: docker: client 20.10, daemon 20.10\n"}
{"Action":"run","Package":"runack/tests/clients","Test":"TestDockerUserns/--userns-remap"}
{"Action":"fail","Package":"runack/tests/clients","Test":"TestDockerUserns/--userns-remap"}
{"Action":"run","Package":"runack/tests/clients","Test":"TestPodman"}
{"Action":"output","Package":"runack/tests/clients","Test":"TestPodman","Output":"    main_test.go:50: podman is not there\n"}
{"Action":"skip","Package":"runack/tests/clients","Test":"TestPodman"}
`
	const want = `
## docker

Versions: client 20.10, daemon 20.10.

| feature | result |
|---|---|
| run -i | works |
| a/b | not seen: no such device here |
| --userns-remap | **fails** |

## podman

| feature | result |
|---|---|
| everything | not seen: podman is not there |
`
	tests, err := read(strings.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := write(&b, clients(tests)); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimPrefix(b.String(), head); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
