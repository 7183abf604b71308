package hooks

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The probe writes what it was executed with beside its own file: arguments, environment, signal
// state and descriptors, through no shell that would change them.
const probeSource = `
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
extern char **environ;
static FILE *out(const char *suffix) {
	char path[4096];
	snprintf(path, sizeof path, "%s.%s", PROBE_PATH, suffix);
	return fopen(path, "w");
}
int main(int argc, char **argv) {
	FILE *f = out("args");
	for (int i = 0; i < argc; i++) fwrite(argv[i], 1, strlen(argv[i]) + 1, f);
	fclose(f);
	f = out("env");
	for (char **e = environ; *e; e++) fwrite(*e, 1, strlen(*e) + 1, f);
	fclose(f);
	char line[512]; FILE *status = fopen("/proc/self/status", "r");
	f = out("signals");
	while (fgets(line, sizeof line, status)) if (!strncmp(line, "Sig", 3) || !strncmp(line, "Shd", 3)) fputs(line, f);
	fclose(f); fclose(status);
	f = out("fds"); DIR *d = opendir("/proc/self/fd"); struct dirent *e;
	while ((e = readdir(d))) { int n = atoi(e->d_name); if (e->d_name[0] != '.' && n != dirfd(d) && n != fileno(f)) fprintf(f, "%d\n", n); }
	fclose(f); closedir(d);
	return 0;
}
`

func buildProbe(t *testing.T, dir string) string {
	t.Helper()
	source, binary := filepath.Join(dir, "probe.c"), filepath.Join(dir, "probe")
	if err := os.WriteFile(source, []byte(probeSource), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-DPROBE_PATH=\""+binary+"\"", "-o", binary, source).CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v\n%s", err, out)
	}
	return binary
}
