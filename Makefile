# runack's build and tests. `make help` lists the targets; docs and CI use these same ones.
#
# What goes where: bin/ holds what is installed, build/ everything else (results of tests, the
# sanitized stage, tools). The only files made inside source folders are nsexec/stage.bin and
# internal/seccomp/compiler.{bin,id}, because go:embed cannot reach outside its package.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := build

GO ?= go
CC_STAGE ?= musl-gcc
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
DATADIR ?= $(PREFIX)/share
DESTDIR ?=

# VM=0 takes the virtual machine (up to half an hour, VM_TIMEOUT in seconds) out of `make test`. RACE=1
# puts Go's race detector under the unit tests.
VM ?= 1
RACE ?= 0
FUZZTIME ?= 60s
FUZZINPUTS ?= 300x
TESTFLAGS ?=
BENCHFLAGS ?=
TEST_TIMEOUT ?= 20m

# One set of tags for every Go command, so that what is tested is what is built.
# urfave_cli_no_docs: urfave/cli's documentation code costs start-up time.
export GOFLAGS := -tags=urfave_cli_no_docs
# The runtime ships without cgo: it starts faster and is one file to copy.
export CGO_ENABLED := 0

BUILD := build
RESULTS := $(BUILD)/results
MULTIARCH := $(shell gcc -print-multiarch 2>/dev/null)

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
# The date of the sources, so that the same sources make the same files.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

STAGE_SRC := $(wildcard nsexec/stage/*.c)
STAGE_DEPS := $(STAGE_SRC) $(wildcard nsexec/stage/*.h nsexec/stage/*.def) handshake/order.def
# -printf sorts nothing, so the list is sorted to stay the same from run to run.
GO_SRC := $(sort $(shell find . -name '*.go' -not -name '*_test.go' -not -path './$(BUILD)/*' 2>/dev/null))
# What else go:embed takes in.
GO_EMBED := $(sort $(shell find bundle cmd container shim -type f -not -name '*.go' 2>/dev/null))

# The list that bubblewrap builds with, less what does not fit a freestanding-like C11 program.
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wundef -Wformat=2 -Wformat-security -Wformat-signedness \
	-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wmissing-declarations \
	-Wnested-externs -Wredundant-decls -Wpointer-arith -Wwrite-strings -Winit-self -Wcast-align \
	-Wswitch-default -Wreturn-type -Wempty-body -Wignored-qualifiers -Wtype-limits -Wvla \
	-Wmissing-include-dirs -Wstrict-aliasing=2 -Wunused-but-set-variable -Wno-unused-parameter
WARNINGS_GCC := -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wjump-misses-init
# musl's own headers come first; the kernel's are looked up behind them.
KERNEL_HEADERS := -idirafter /usr/include $(if $(MULTIARCH),-idirafter /usr/include/$(MULTIARCH))
STAGE_CFLAGS := -std=c11 -D_GNU_SOURCE -Os $(WARNINGS) $(WARNINGS_GCC) -fno-pie -ffunction-sections -fdata-sections \
	-fno-asynchronous-unwind-tables -fno-ident -fstack-protector-strong $(KERNEL_HEADERS)
STAGE_LDFLAGS := -static -no-pie -Wl,--gc-sections -Wl,-z,noexecstack -Wl,-z,relro -Wl,-z,now -Wl,--build-id=none -s

##@ Building

.PHONY: help
help: ## list all targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "Variables: VM=0 (no tests in the virtual machine), RACE=1, TESTFLAGS='-run Name', FUZZTIME=60s,"
	@echo "           PREFIX, DESTDIR, RUNTIME=runc (drive the integration tests with another runtime)"

.PHONY: deps
deps: ## install the Debian packages that building and testing need
	@tests/tools/deps build test

.PHONY: deps-vm
deps-vm: ## install what the virtual machine needs
	@tests/tools/deps vm

# Not in Debian 12; a module of its own, so that nothing of it gets into ours.
CRICTL := $(BUILD)/crictl/crictl

$(CRICTL): tests/crictl/go.mod tests/crictl/go.sum
	@mkdir -p $(@D)
	cd tests/crictl && GOFLAGS= $(GO) build -o '$(abspath $@)' \
		-ldflags "-s -w -X sigs.k8s.io/cri-tools/pkg/version.Version=$$($(GO) list -m -f '{{.Version}}' sigs.k8s.io/cri-tools)" \
		sigs.k8s.io/cri-tools/cmd/crictl
	@touch $@

.PHONY: deps-clients
deps-clients: $(CRICTL) ## fetch the clients that are not installed, into build/clients, and build crictl
	@tests/tools/deps clients

.PHONY: deps-lint
deps-lint: ## install the linters
	@tests/tools/deps build lint

BINARIES := bin/runack
ifneq ($(wildcard cmd/containerd-shim-runack-v2/*.go),)
BINARIES += bin/containerd-shim-runack-v2
endif

.PHONY: build
build: $(BINARIES) ## build bin/runack (and the shim)

.PHONY: stage
stage: nsexec/stage.bin ## build the C stage alone

# Rewritten only when the stamp changes, so that a new commit relinks and nothing else does.
.PHONY: FORCE
FORCE:
$(BUILD)/stamp: FORCE
	@mkdir -p $(@D); echo '$(VERSION) $(COMMIT) $(GOFLAGS) $(shell $(GO) env GOVERSION GOARCH)' >$@.new; \
	if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# The flags are part of what the stage is made of.
$(BUILD)/stage-flags: FORCE
	@mkdir -p $(@D); echo '$(CC_STAGE) $(STAGE_CFLAGS) $(STAGE_LDFLAGS)' >$@.new; \
	if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

nsexec/stage.bin: $(STAGE_DEPS) $(BUILD)/stage-flags
	@command -v $(CC_STAGE) >/dev/null || { echo "make: $(CC_STAGE) is missing: run \`make deps\` first" >&2; exit 1; }
	$(CC_STAGE) $(STAGE_CFLAGS) $(STAGE_LDFLAGS) -o $@.new $(STAGE_SRC)
	@mv $@.new $@

# libseccomp's archive is glibc's, so this one is linked with it. It runs when a profile is met for
# the first time.
COMPILER_SRC := internal/seccomp/compiler/compiler.c
COMPILER_CFLAGS := -std=c11 -D_GNU_SOURCE -Os $(WARNINGS) $(WARNINGS_GCC) -ffunction-sections -fdata-sections -fstack-protector-strong
COMPILER_LDFLAGS := -static -Wl,--gc-sections -Wl,-z,noexecstack -Wl,-z,relro -Wl,-z,now -Wl,--build-id=none -s

$(BUILD)/compiler-flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(COMPILER_CFLAGS) $(COMPILER_LDFLAGS)' >$@.new; \
	if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

internal/seccomp/compiler.bin: $(COMPILER_SRC) $(BUILD)/compiler-flags
	@[ -e /usr/include/seccomp.h ] || { echo "make: libseccomp's static library is missing: run \`make deps\` first" >&2; exit 1; }
	$(CC) $(COMPILER_CFLAGS) $(COMPILER_LDFLAGS) -o $@.new $(COMPILER_SRC) -lseccomp
	@mv $@.new $@

# What a compiled program depends on, for the key of its cache entry.
internal/seccomp/compiler.id: internal/seccomp/compiler.bin $(sort $(filter-out %_test.go,$(wildcard internal/seccomp/*.go)))
	@cat $^ | sha256sum | cut -d' ' -f1 >$@

EMBEDDED := nsexec/stage.bin internal/seccomp/compiler.bin internal/seccomp/compiler.id

# The build with failpoints, for tests/faults: both sides of it, and never installed.
FAILPOINTS := $(BUILD)/runack-failpoints
nsexec/stage-failpoints.bin: $(STAGE_DEPS) $(BUILD)/stage-flags Makefile
	$(CC_STAGE) $(STAGE_CFLAGS) -DFAILPOINTS $(STAGE_LDFLAGS) -o $@.new $(STAGE_SRC)
	@mv $@.new $@

$(FAILPOINTS): $(GO_SRC) $(GO_EMBED) go.mod go.sum nsexec/stage-failpoints.bin $(EMBEDDED) $(BUILD)/stamp
	@mkdir -p $(@D)
	GOFLAGS='$(GOFLAGS),failpoints' $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/runack
	@touch $@

bin/%: $(GO_SRC) $(GO_EMBED) go.mod go.sum $(EMBEDDED) $(BUILD)/stamp
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/$*
	@touch $@

.PHONY: sanitize
sanitize: $(BUILD)/stage.asan ## build the stage under address and undefined-behaviour sanitizers

# glibc's: musl has no sanitizer runtime.
$(BUILD)/stage.asan: $(STAGE_DEPS)
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O1 -g $(WARNINGS) -fno-omit-frame-pointer -fsanitize=address,undefined \
		-fno-sanitize-recover=all -o $@ $(STAGE_SRC)

# The program is built a second time, with a tag that makes a generator of it.
GENERATED := $(BUILD)/generated
$(GENERATED): $(wildcard cmd/runack/*.go) $(BUILD)/stamp bin/runack
	@rm -rf $@
	GOFLAGS='$(GOFLAGS),generate' SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) \
		$(GO) run -ldflags '-X main.version=$(VERSION)' ./cmd/runack $@

.PHONY: docs
docs: $(GENERATED) ## make man pages and shell completions, in build/generated

.PHONY: install
install: build $(GENERATED) ## install into $(DESTDIR)$(PREFIX): programs, man pages, completions, examples
	install -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(DATADIR)'/{man/man8,bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d,doc/runack/examples}
	install -m 755 $(BINARIES) '$(DESTDIR)$(BINDIR)'
	install -m 644 $(GENERATED)/man/* '$(DESTDIR)$(DATADIR)/man/man8'
	install -m 644 $(GENERATED)/completions/bash/runack '$(DESTDIR)$(DATADIR)/bash-completion/completions'
	install -m 644 $(GENERATED)/completions/zsh/_runack '$(DESTDIR)$(DATADIR)/zsh/vendor-completions'
	install -m 644 $(GENERATED)/completions/fish/runack.fish '$(DESTDIR)$(DATADIR)/fish/vendor_completions.d'
	for f in packaging/examples/*; do \
		sed 's|@BINDIR@|$(BINDIR)|' $$f >'$(DESTDIR)$(DATADIR)/doc/runack/examples'/$${f##*/}; \
	done

.PHONY: uninstall
uninstall: ## remove what install has installed
	rm -f $(patsubst bin/%,'$(DESTDIR)$(BINDIR)/%',$(BINARIES)) '$(DESTDIR)$(DATADIR)'/man/man8/runack{,-*}.8 \
		'$(DESTDIR)$(DATADIR)/bash-completion/completions/runack' '$(DESTDIR)$(DATADIR)/zsh/vendor-completions/_runack' \
		'$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/runack.fish'
	rm -rf '$(DESTDIR)$(DATADIR)/doc/runack'

.PHONY: package
package: ## make a Debian package, in build/package
	@rm -rf $(BUILD)/package
	@$(MAKE) --no-print-directory install PREFIX=/usr DESTDIR=$(BUILD)/package/root
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) packaging/deb $(BUILD)/package/root '$(VERSION)' $(BUILD)/package

.PHONY: demo
demo: deps build ## from nothing to a running container: install what is missing, build, try
	bin/runack try

.PHONY: try
try: build ## run a command (CMD='...') in a throw-away container over this host's root
	bin/runack try $(CMD)

##@ Testing

COUNT := $(BUILD)/count
PROBE := $(BUILD)/probe
# What runs real containers has suites of its own.
CONTAINER_PKGS := ./tests/integration/... ./tests/shim/...
# These look at nothing that depends on the view of the host's cgroups, so they run once.
SPEC_PKGS := ./tests/spec/... ./tests/security/... ./tests/processes/...
CLIENT_PKGS := ./tests/clients/...
FAULT_PKGS := $(if $(wildcard tests/faults/*_test.go),./tests/faults/...)
# -e: a recipe is expanded before it runs, when nsexec/stage.bin may not be there yet.
ALL_PKGS = $(or $(shell $(GO) list -e ./...),$(error go list found no package))
UNIT_PKGS = $(filter-out runack/tests/integration% runack/tests/shim% runack/tests/spec% runack/tests/security% runack/tests/processes% runack/tests/faults% runack/tests/clients%,$(ALL_PKGS))

$(COUNT): $(wildcard tests/count/*.go) go.mod
	@mkdir -p $(@D)
	@$(GO) build -o $@ ./tests/count

# The program that containers of the tests run where busybox cannot tell a fact.
$(PROBE): $(wildcard tests/probe/*.c)
	@mkdir -p $(@D)
	$(CC_STAGE) -std=c11 -Os -static -no-pie $(WARNINGS) $(KERNEL_HEADERS) -s -o $@ $(filter %.c,$^)

.PHONY: test-build
test-build: build sanitize $(COUNT) $(PROBE) $(FAILPOINTS)

# $(call suite,name,command): run the command, keep its `go test -json` stream, go on whatever comes.
suite = $(COUNT) run -suite $(1) -dir $(RESULTS) -- $(2)
# -count=1: the results depend on the binary and on this machine, of which the test cache knows nothing.
gotest = $(GO) test -json -count=1 -timeout $(TEST_TIMEOUT) $(TESTFLAGS)

# Root suites run once on the host as it is and once in each other view of its cgroups that
# can be had (tests/harness/view.go).
suite-unit = $(call suite,unit,$(if $(filter 1,$(RACE)),env CGO_ENABLED=1) $(gotest) $(if $(filter 1,$(RACE)),-race) $(UNIT_PKGS))
suite-root = $(call suite,root,$(gotest) $(CONTAINER_PKGS))
suite-root-v1 = $(call suite,root-v1,env RUNACK_VIEW=v1 $(gotest) $(CONTAINER_PKGS))
suite-root-v2 = $(call suite,root-v2,env RUNACK_VIEW=v2 $(gotest) $(CONTAINER_PKGS))
suite-spec = $(call suite,spec,$(gotest) $(SPEC_PKGS))
# A few hundred inputs for every fuzz target; `make fuzz` gives them time.
suite-fuzz = $(call suite,fuzz,tests/tools/fuzz $(FUZZINPUTS) -json)
suite-faults = $(if $(FAULT_PKGS),$(call suite,faults,$(gotest) $(FAULT_PKGS)),true)
suite-clients = $(call suite,clients,$(gotest) $(CLIENT_PKGS))
client-table = $(GO) run ./tests/clients/table $(RESULTS)/clients.json
suite-vm = COUNT=$(COUNT) RESULTS=$(RESULTS) tests/vm/suite
# The virtual machine's image is made beside the first suites. It waits for the network and for dpkg
# more than for the processor, and whatever goes wrong is said by suite-vm, which tries again.
vm-image = { tests/vm/image >$(BUILD)/vm-image.log 2>&1 & }

.PHONY: test
test: deps ## everything this machine can run, with all set-up; ends in a count
	@tests/tools/deps --optional clients
	@$(MAKE) --no-print-directory $(CRICTL) || echo "make: no crictl: what needs it is skipped"
	@$(if $(filter 0,$(VM)),echo "make: VM=0: nothing is run in the virtual machine",tests/tools/deps --optional vm)
	@$(MAKE) --no-print-directory test-build
	@rm -rf $(RESULTS)
	@$(if $(filter 0,$(VM)),true,$(vm-image))
	@$(suite-unit)
	@$(suite-root)
	@$(suite-root-v1)
	@$(suite-root-v2)
	@$(suite-spec)
	@$(suite-faults)
	@$(suite-fuzz)
	@$(suite-clients)
	@$(if $(filter 0,$(VM)),true,$(suite-vm))
	@$(COUNT) sum $(RESULTS)

.PHONY: test-unit
test-unit: test-build ## tests of the single rooms
	@rm -rf $(RESULTS); $(suite-unit); $(COUNT) sum $(RESULTS)

.PHONY: test-root
test-root: test-build ## real containers, as root, in each view of the host's cgroups
	@rm -rf $(RESULTS); $(suite-root); $(suite-root-v1); $(suite-root-v2); $(COUNT) sum $(RESULTS)

.PHONY: test-spec
test-spec: test-build ## every part of config.json, and the attacks of the past, in real containers
	@rm -rf $(RESULTS); $(suite-spec); $(COUNT) sum $(RESULTS)

.PHONY: test-faults
test-faults: test-build ## every step interrupted
	@$(if $(FAULT_PKGS),,echo "make: tests/faults has no tests yet" >&2; exit 1)
	@rm -rf $(RESULTS); $(suite-faults); $(COUNT) sum $(RESULTS)

.PHONY: test-clients
test-clients: deps deps-clients test-build ## docker, podman and the like; prints a table, KEEP=1 writes docs/clients.md
	@rm -rf $(RESULTS); $(suite-clients)
	@$(client-table) $(if $(filter 1,$(KEEP)),| tee docs/clients.md)
	@$(COUNT) sum $(RESULTS)

.PHONY: test-vm
test-vm: deps-vm test-build ## the root tests in a virtual machine with pure cgroup v2, without and with systemd
	@rm -rf $(RESULTS); $(suite-vm); $(COUNT) sum $(RESULTS)

# What every suite with long forms runs in `make soak`.
soak = $(call suite,soak-$(1),env RUNACK_SOAK=1 $(3) $(GO) test -json -count=1 -timeout 12h $(TESTFLAGS) $(2))

CONTAINERD := $(BUILD)/containerd/containerd

# containerd 2.x is a module of its own, so that nothing of it gets into ours.
$(CONTAINERD): tests/containerd/go.mod tests/containerd/go.sum
	@mkdir -p $(@D)
	cd tests/containerd && GOFLAGS= $(GO) build -o '$(abspath $(@D))/' tool
	@touch $@

.PHONY: test-containerd
test-containerd: test-build $(CONTAINERD) ## the shim with containerd 2.x, which is built first (some minutes)
	@rm -rf $(RESULTS); $(call suite,containerd,env RUNACK_CONTAINERD='$(abspath $(BUILD)/containerd)' $(gotest) -run 'Containerd|Race' ./tests/shim); $(COUNT) sum $(RESULTS)

.PHONY: conformance
conformance: build ## the validation suite of opencontainers/runtime-tools
	@tests/conformance/run

.PHONY: soak
soak: test-build ## the long forms of the tests (hours)
	@rm -rf $(RESULTS)
	@$(call soak,root,$(CONTAINER_PKGS))
	@$(call soak,root-v1,$(CONTAINER_PKGS),RUNACK_VIEW=v1)
	@$(call soak,root-v2,$(CONTAINER_PKGS),RUNACK_VIEW=v2)
	@$(call soak,spec,$(SPEC_PKGS))
	@$(if $(FAULT_PKGS),$(call soak,faults,$(FAULT_PKGS)),true)
	@$(call soak,clients,$(CLIENT_PKGS))
	@$(if $(filter 0,$(VM)),true,RUNACK_SOAK=1 VM_TIMEOUT=36000 $(suite-vm))
	@$(COUNT) sum $(RESULTS)

.PHONY: fuzz
fuzz: test-build ## every fuzz target for FUZZTIME each
	@tests/tools/fuzz '$(FUZZTIME)'

# What bench puts beside the runtimes: the least that a container can cost, and the least of a Go program.
$(BUILD)/floor $(BUILD)/peak: $(BUILD)/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(CC_STAGE) -std=c11 -D_GNU_SOURCE -Os -static -no-pie $(WARNINGS) $(KERNEL_HEADERS) -s -o $@ $<

$(BUILD)/empty: tests/bench/empty/main.go
	@mkdir -p $(@D)
	$(GO) build -trimpath -ldflags '-s -w' -o $@ ./tests/bench/empty

.PHONY: bench
bench: build $(BUILD)/floor $(BUILD)/peak $(BUILD)/empty ## what a call costs beside runc and crun (or RUNC=, CRUN=, OTHERS=), into docs/bench
	$(GO) build -o $(BUILD)/bench ./tests/bench
	$(BUILD)/bench $(BENCHFLAGS)

.PHONY: bench-go
bench-go: test-build ## Go benchmarks of decoding, planning, frames and the rest
	$(GO) test -run '^$$' -bench . -benchmem $(UNIT_PKGS)

##@ Keeping it tidy

# Pinned: a linter's new release must not turn a build red. They come through the Go proxy.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
ERRORLINT := github.com/polyfloyd/go-errorlint@v1.8.0
EXHAUSTIVE := github.com/nishanths/exhaustive/cmd/exhaustive@v0.17.1
SCRIPTS := .ci/run packaging/deb $(wildcard tests/tools/* tests/conformance/run tests/vm/suite tests/vm/run tests/vm/image tests/vm/guest)

.PHONY: lint
lint: deps-lint $(EMBEDDED) ## all linters: Go, C and shell
	@tests/tools/lint

.PHONY: lint-go
lint-go: $(EMBEDDED)
	@out=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); [ -z "$$out" ] || { echo "gofmt: run \`make fmt\` over:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) run $(ERRORLINT) -errorf-multi ./...
	# -d: a default says what becomes of the rest. Nobody means all 27 of reflect.Kind.
	$(GO) run $(EXHAUSTIVE) -d -typeignore '^reflect.Kind$$' ./...

.PHONY: lint-c
lint-c:
	@tests/tools/lint-c "$(STAGE_CFLAGS)"

.PHONY: lint-sh
lint-sh:
	shellcheck $(SCRIPTS)

.PHONY: fmt
fmt: ## gofmt and clang-format
	gofmt -w $$(git ls-files --cached --others --exclude-standard '*.go')
	clang-format -i $(STAGE_SRC) $(COMPILER_SRC) $(wildcard nsexec/stage/*.h tests/probe/*.c)

.PHONY: clean
clean: ## remove what building and testing made here
	rm -rf bin $(BUILD) $(EMBEDDED) nsexec/stage-failpoints.bin
