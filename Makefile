# camcast: a camera to any number of viewers. `make help` lists the targets.
#
# Variables: B= build folder, SAN= address|thread, WERROR=0, V=1 shows the commands, CONFIG= for
# `make run`, FUZZ_SECONDS= for each fuzzer, FOR= for `make deps`, prefix= and DESTDIR= for
# `make install`.

VERSION := 0.2.0~dev
SAN ?=
B ?= build$(if $(SAN),-$(SAN))
prefix ?= /usr/local
DESTDIR ?=
bindir ?= $(prefix)/bin
mandir ?= $(prefix)/share/man
docdir ?= $(prefix)/share/doc/camcast
unitdir ?= $(prefix)/lib/systemd/system
udevdir ?= $(prefix)/lib/udev/rules.d
modulesdir ?= $(prefix)/lib/modules-load.d
sysconfdir ?= /etc
CONFIG ?= config.ini
FUZZ_SECONDS ?=
Q := $(if $(V),,@)

# With a sanitizer, -O2 takes twice as long to compile, and optimizes away some of what is to be
# found. At -O1 gcc knows less of lengths and of what is set, so that a warning is no error there.
CFLAGS ?= $(if $(SAN),-O1 -g1,-O2 -g)
CXXFLAGS ?= $(if $(SAN),-O1 -g1,-O2 -g)
PKG_CONFIG ?= pkg-config
# For what runs while building; differs from CC when CC is a cross compiler.
CC_FOR_BUILD ?= $(CC)
CLANG ?= clang

SAN_FLAGS_address := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SAN_FLAGS_thread := -fsanitize=thread -fno-omit-frame-pointer
SAN_FLAGS := $(SAN_FLAGS_$(SAN))

WARN := -Wall -Wextra -Wshadow -Wpointer-arith -Wcast-qual -Wvla -Wundef $(if $(SAN)$(filter 0,$(WERROR)),,-Werror) \
	$(if $(SAN),-Wno-format-truncation)
WARN_C := $(WARN) -Wstrict-prototypes -Wmissing-prototypes
CPPFLAGS_ALL := -D_GNU_SOURCE -DCAMCAST_VERSION='"$(VERSION)"' -Iinclude -Isrc -I. $(CPPFLAGS)
CFLAGS_ALL := -std=c11 -pthread -fvisibility=hidden $(WARN_C) $(SAN_FLAGS) $(CFLAGS)
CXXFLAGS_ALL := -std=c++17 -pthread $(WARN) $(SAN_FLAGS) $(CXXFLAGS)
LDFLAGS_ALL := -pthread $(SAN_FLAGS) $(LDFLAGS)

# Libraries by part. camcastd links no camera and no codec library.
PC_mqtt := libmosquitto libssl libcrypto
PC_daemon := liburing libcjson libsystemd libcrypt $(PC_mqtt)
PC_capture := libseccomp libavformat libavcodec libswscale libavutil openh264 libjpeg
PC_push := libseccomp libavformat libavcodec libavutil
PC_wrapper := libcamera
PC_client := $(PC_mqtt) libcrypt libseccomp libcjson libavformat libavcodec libswscale libavutil sdl2 SDL2_ttf fontconfig harfbuzz fribidi
pc = $(shell $(PKG_CONFIG) $(1) $(2))$(if $(filter-out 0,$(.SHELLSTATUS)),$(error \
	a library is missing: `make deps` installs what a build needs))
pc_cflags = $(call pc,--cflags,$(1))
pc_libs = $(call pc,--libs,$(1))

# What the four programs share, then what is one program's own.
SRC_common := $(sort $(wildcard $(patsubst %,src/%/*.c,base config media net process))) src/mqtt/topic.c
# Apart, as the program that writes the manual's options has to do without libmosquitto.
SRC_mqtt := $(filter-out $(SRC_common),$(sort $(wildcard src/mqtt/*.c)))
SRC_daemon := $(sort $(wildcard src/daemon/*.c src/daemon/*/*.c))
SRC_capture := $(sort $(wildcard src/capture/*.c src/capture/*/*.c))
SRC_push := $(sort $(wildcard src/push/*.c))
SRC_wrapper := $(sort $(wildcard wrapper/*.cpp))
SRC_client := $(sort $(wildcard src/client/*.c src/client/*/*.c))
obj = $(patsubst %,$(B)/%.o,$(basename $(1)))

OBJ_common := $(call obj,$(SRC_common))
OBJ_mqtt := $(call obj,$(SRC_mqtt))
OBJ_daemon := $(call obj,$(SRC_daemon))
OBJ_capture := $(call obj,$(SRC_capture))
OBJ_push := $(call obj,$(SRC_push))
OBJ_wrapper := $(call obj,$(SRC_wrapper))
OBJ_client := $(call obj,$(SRC_client))

# Everything but the mains, for the tests.
$(B)/libcommon.a: $(OBJ_common)
$(B)/libmqtt.a: $(OBJ_mqtt)
$(B)/libdaemon.a: $(filter-out %/main.o,$(OBJ_daemon)) $(B)/web/files.o
$(B)/libcapture.a: $(filter-out %/main.o,$(OBJ_capture)) $(OBJ_wrapper)
$(B)/libpush.a: $(filter-out %/main.o,$(OBJ_push))
$(B)/libclient.a: $(filter-out %/main.o,$(OBJ_client))

PROGRAMS := $(B)/camcastd $(B)/camcast-capture $(B)/camcast-push $(B)/camcast $(B)/bench/camload
BENCHES := $(patsubst %.c,$(B)/%,$(sort $(wildcard bench/*.c)) bench/peers/link.c bench/peers/publish.c) \
	$(B)/bench/peers/camera.so

.PHONY: all
all: $(PROGRAMS)
.DEFAULT_GOAL := all

$(B)/camcastd: $(B)/src/daemon/main.o $(B)/libdaemon.a $(B)/libmqtt.a $(B)/libcommon.a
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(call pc_libs,$(PC_daemon))
	@echo "  LINK $@"

$(B)/camcast-capture: $(B)/src/capture/main.o $(B)/libcapture.a $(B)/libcommon.a
	$(Q)$(CXX) $(LDFLAGS_ALL) -o $@ $^ $(call pc_libs,$(PC_capture) $(PC_wrapper)) -lm
	@echo "  LINK $@"

$(B)/camcast-push: $(B)/src/push/main.o $(B)/libpush.a $(B)/libcommon.a
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(call pc_libs,$(PC_push))
	@echo "  LINK $@"

$(B)/camcast: $(OBJ_client) $(B)/libmqtt.a $(B)/libcommon.a
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(call pc_libs,$(PC_client)) -lm
	@echo "  LINK $@"

# q: members of the same name, from different folders, stand beside each other.
$(B)/lib%.a:
	$(Q)rm -f $@; $(AR) qcs $@ $^

$(OBJ_mqtt): USES := $(PC_mqtt)
$(B)/src/daemon/%.o: USES := $(PC_daemon)
$(B)/src/capture/%.o: USES := $(PC_capture)
$(B)/src/push/%.o: USES := $(PC_push)
$(B)/src/client/%.o: USES := $(PC_client)
$(B)/wrapper/%.o: USES := $(PC_wrapper)

# Everything is compiled again after a change of compilers or flags.
FLAGS = $(filter-out ccache,$(CC) $(CXX)) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(CXXFLAGS_ALL) $(LDFLAGS_ALL)
quoted = '$(subst ','\'',$(1))'
.PHONY: force
$(B)/flags: force
	@mkdir -p $(@D)
	@echo $(call quoted,$(FLAGS)) | cmp -s - $@ || echo $(call quoted,$(FLAGS)) >$@

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(if $(USES),$(call pc_cflags,$(USES))) -MMD -MP -c -o $@ $<
	@echo "  CC   $<"

$(B)/%.o: %.cpp $(B)/flags
	@mkdir -p $(@D)
	$(Q)$(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_ALL) $(if $(USES),$(call pc_cflags,$(USES))) -MMD -MP -c -o $@ $<
	@echo "  CXX  $<"

# --- the web page is part of camcastd ---
WEB := $(sort $(wildcard src/web/*))
$(B)/web/files.c: $(addprefix src/daemon/api/,embed.sh strip.sed squeeze.awk) $(WEB)
	@mkdir -p $(@D)
	$(Q)src/daemon/api/embed.sh $(WEB) >$@.new && mv $@.new $@
$(B)/web/files.o: $(B)/web/files.c $(B)/flags
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(call pc_cflags,$(PC_daemon)) -MMD -MP -c -o $@ $<
	@echo "  CC   $<"

# --- unit tests: tests/unit/test_X.c, one program each; tests.mk: what else each one links ---
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(UNIT_SRC))
# The source of the Debian package has no tests.
-include tests/unit/tests.mk

ALL_LIBS = $(B)/libdaemon.a $(B)/libcapture.a $(B)/libpush.a $(B)/libclient.a $(B)/libmqtt.a $(B)/libcommon.a
link_all = -Wl,--start-group $(ALL_LIBS) -Wl,--end-group \
	$(call pc_libs,$(PC_daemon) $(PC_capture) $(PC_wrapper) $(PC_client)) -lm

unit_extra = $(EXTRA_$(1):%=$(B)/tests/unit/%.o) $(if $(filter $(1),$(BENCH_TESTS)),$(B)/libbench.a)
$(foreach t,$(notdir $(UNIT)),$(eval $(B)/tests/unit/$t: $(call unit_extra,$t)))
$(B)/tests/unit/%: $(B)/tests/unit/%.o $(ALL_LIBS)
	$(Q)$(CXX) $(LDFLAGS_ALL) $(WRAPS_$*:%=-Wl,--wrap=%) -o $@ $< $(call unit_extra,$*) $(link_all) \
		$(call pc_libs,cmocka)
	@echo "  LINK $@"
$(B)/tests/%.o: USES := $(PC_daemon) $(PC_capture) $(PC_client)

# --- what end-to-end tests run: a double of the worker, and a decoder ---
FAKEWORKER := $(B)/tests/support/fakeworker
DECODE := $(B)/tests/support/decode
SUPPORT := $(FAKEWORKER) $(DECODE)
$(FAKEWORKER): %: %.o %_faults.o %_attacks.o $(B)/libcommon.a
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^
	@echo "  LINK $@"
$(DECODE): %: %.o
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(call pc_libs,libavcodec libavutil)
	@echo "  LINK $@"

# --- what drives the browsers of tests/e2e/test_page.py, from npm ---
BROWSER := $(B)/browser/installed
.PHONY: browser
browser: $(BROWSER)
$(BROWSER): tests/e2e/browser/package.json tests/e2e/browser/package-lock.json
	@mkdir -p $(@D)
	$(Q)cp $^ $(@D) && cd $(@D) && npm ci --no-audit --no-fund --loglevel=error && touch $(@F)

# --- fuzzers: tests/fuzz/fuzz_X.c, one program each, everything compiled by clang ---
FUZZ := $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer

$(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(ALL_LIBS)
	$(Q)$(CXX) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $< $(link_all)
	@echo "  LINK $@"

.PHONY: fuzzers
fuzzers:
	+@$(MAKE) --no-print-directory B=$(B)/fuzz SAN= WERROR=0 CC=$(CLANG) CXX=$(CLANG)++ \
		CFLAGS='-O1 -g -fsanitize=fuzzer-no-link $(FUZZ_SAN)' \
		CXXFLAGS='-O1 -g -fsanitize=fuzzer-no-link $(FUZZ_SAN)' LDFLAGS='$(FUZZ_SAN)' \
		$(patsubst $(B)/%,$(B)/fuzz/%,$(FUZZ))

# --- benchmarks: bench/X.c, one program each; bench/lib is shared, bench/peers imitates others ---
.PHONY: benches
benches: $(BENCHES)
$(B)/libbench.a: $(call obj,$(sort $(wildcard bench/lib/*.c)) bench/peers/rtmp.c)
PC_camload := libavcodec libavutil libcjson libssl libcrypto
$(B)/bench/camload: $(B)/bench/camload.o $(B)/libbench.a $(B)/libcommon.a
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(call pc_libs,$(PC_camload)) -lm
	@echo "  LINK $@"
$(B)/bench/%: $(B)/bench/%.o $(B)/libbench.a $(ALL_LIBS)
	$(Q)$(CXX) $(LDFLAGS_ALL) -o $@ $< $(B)/libbench.a $(link_all)
	@echo "  LINK $@"
$(B)/bench/peers/camera.so: bench/peers/camera.c bench/lib/unit_jpeg.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -fvisibility=default -shared -fPIC -o $@ $^ -ldl
	@echo "  LINK $@"
$(B)/bench/%.o: USES := $(PC_daemon) $(PC_capture)

.PHONY: bench bench-quick
bench bench-quick:
	$(call deps_for,bench)
	+@$(MAKE) --no-print-directory $(PARALLEL) all benches
	bench/run.sh $(if $(filter bench-quick,$@),--quick)

# TLS where the kernel encrypts, and RTSP over UDP, in an emulated guest.
.PHONY: bench-guest
bench-guest:
	$(call deps_for,bench-guest)
	+@$(MAKE) --no-print-directory $(PARALLEL) all benches
	bench/guest.sh

.PHONY: bench-page
bench-page:
	$(call deps_for,bench-page)
	+@$(MAKE) --no-print-directory $(PARALLEL) all browser
	/usr/bin/python3 -B bench/page.py $(if $(MINUTES),growth --minutes $(MINUTES) --size 640x360 --framerate 15)

# --- manual: the keys of camcast.ini(5) come from the parser's own table ---
MAN := $(addprefix $(B)/docs/man/,camcast.1 camload.1 camcast-doctor.1 camcastd.8 camcast-capture.8 camcast-push.8 camcast.ini.5)
.PHONY: man
man: $(MAN)
all: man
$(B)/docs/options: $(B)/docs/options.o $(B)/libcommon.a
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^
ifeq ($(CC_FOR_BUILD),$(CC))
OPTIONS := $(B)/docs/options
else
OPTIONS := $(B)/native/docs/options
.PHONY: native-options
native-options:
	+@$(MAKE) --no-print-directory B=$(B)/native CC=$(CC_FOR_BUILD) PKG_CONFIG=pkg-config CFLAGS=-O2 CPPFLAGS= LDFLAGS= \
		$(B)/native/docs/options
$(OPTIONS): native-options ;
endif
# The tables of docs/STATUS.md come from the status's own: status-page writes them into the page.
$(B)/docs/counters.o: USES := $(PC_daemon)
$(B)/docs/counters: $(B)/docs/counters.o $(B)/libdaemon.a $(B)/libmqtt.a $(B)/libcommon.a
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(call pc_libs,$(PC_daemon))
$(B)/docs/STATUS.md: docs/STATUS.md $(B)/docs/counters
	$(Q)$(B)/docs/counters <$< >$@
.PHONY: status-page
status-page: $(B)/docs/STATUS.md
	$(Q)cmp -s $< docs/STATUS.md || cp $< docs/STATUS.md

$(B)/docs/man/%.5: docs/man/%.5 $(OPTIONS)
	@mkdir -p $(@D)
	$(Q)$(OPTIONS) >$@.options
	$(Q)sed -e '/^\.\\" OPTIONS$$/{' -e 'r $@.options' -e 'd' -e '}' $< >$@
$(B)/docs/man/%.8: docs/man/%.8
	@mkdir -p $(@D)
	$(Q)cp $< $@
$(B)/docs/man/%.1: docs/man/%.1
	@mkdir -p $(@D)
	$(Q)cp $< $@

# --- packages ---
# `make deps FOR="run check"` installs what these targets need, as far as it is missing; the targets
# do it themselves. The libraries, and what camcastd runs with, stand in the control file of the
# Debian package alone: of alternatives the first is taken.
control_field = $(shell sed -n '/^$(1):/,/^[^ ]/p' src/system/debian/control | \
	sed -n 's/^$(1)://p; /^ /p' | tr ',' '\n' | sed 's/ *|.*//; s/ *\x28.*//; /\$$/d')
PKG_build = gcc g++ make \
	$(filter-out debhelper-compat systemd-dev,$(call control_field,Build-Depends))
PKG_run = $(PKG_build) $(filter-out udev,$(call control_field,Depends) $(call control_field,Recommends))
PKG_unit = $(PKG_build) libcmocka-dev
PKG_e2e = $(PKG_run) python3-pytest python3-pytest-xdist python3-pytest-timeout python3-opencv \
	python3-paho-mqtt python3-jsonschema python3-prometheus-client opencv-doc ffmpeg \
	gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
	gstreamer1.0-plugins-bad gstreamer1.0-libav gir1.2-gst-rtsp-server-1.0 python3-gi \
	procps mosquitto-clients ncat openssl xvfb xdotool \
	fonts-nanum weston libimage-exiftool-perl varnish nginx libnginx-mod-rtmp vlc-bin vlc-plugin-base \
	motion mpv locales sslscan libnss3-tools onvif-tools \
	glib-networking dbus-daemon avahi-daemon avahi-utils $(PKG_browser)
PKG_alone = $(PKG_e2e) zoneminder mariadb-server-core
# A nodejs of nodesource.com brings npm along, and refuses Debian's.
PKG_browser = chromium firefox-esr fonts-nanum nodejs $(if $(shell command -v npm),,npm)
PKG_bench-guest = $(PKG_run) ffmpeg nginx-light curl qemu-system-x86 busybox-static cpio kmod iproute2
PKG_bench-page = $(PKG_run) $(PKG_browser) iproute2
PKG_soak = $(PKG_e2e) iproute2 util-linux
PKG_fuzz = $(PKG_build) clang libclang-rt-dev
PKG_check = $(PKG_unit) $(PKG_e2e) $(PKG_fuzz)
PKG_check-distros = $(PKG_e2e) mmdebstrap
PKG_check-hw = $(PKG_e2e) mmdebstrap e2fsprogs cpio kmod xz-utils
PKG_check-kernel = $(PKG_unit) $(PKG_check-hw)
PKG_check-arm64 = mmdebstrap e2fsprogs cpio kmod xz-utils qemu-user-static arch-test
PKG_lint = $(PKG_build) clang-format clang-tidy cppcheck shellcheck pyflakes3 mandoc python3 libcmocka-dev
PKG_deb = $(PKG_build) dpkg-dev debhelper fakeroot lintian
PKG_deb-foreign = dpkg-dev lintian mmdebstrap
PKG_bench = $(PKG_run) iproute2 ffmpeg opencv-doc gnuplot-nox nginx-light libnginx-mod-rtmp vlc-bin \
	vlc-plugin-base icecast2 ustreamer gstreamer1.0-tools gstreamer1.0-plugins-base \
	gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gir1.2-gst-rtsp-server-1.0 python3-gi
PKG_check-all = $(PKG_lint) $(PKG_check) $(PKG_alone) $(PKG_soak) $(PKG_check-distros) $(PKG_check-kernel) $(PKG_bench)

FOR ?= run
packages = $(sort $(foreach t,$(FOR),$(or $(PKG_$t),$(error deps: there is no list for FOR=$t))))
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
.PHONY: deps list-deps
deps:
	@missing=; for p in $(packages); do \
		dpkg-query -W -f '$${db:Status-Status}\n' $$p 2>/dev/null | grep -qx installed || \
			missing="$$missing $$p"; \
	done; \
	[ -z "$$missing" ] || { echo "installing:$$missing"; $(SUDO) apt-get -q update && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -q install -y \
			--no-install-recommends $$missing; }
list-deps:
	@printf '%s\n' $(packages)
deps_for = +@$(MAKE) --no-print-directory deps FOR='$(1)'
PARALLEL = $(if $(findstring j,$(firstword -$(MAKEFLAGS))),,-j$(shell nproc))

.PHONY: run
run:
	$(call deps_for,run)
	+@$(MAKE) --no-print-directory $(PARALLEL) all
	$(B)/camcastd -c $(CONFIG)

# --- checks: tests/run.sh counts ---
export CAMCAST_BUILD = $(abspath $(B))
# End-to-end tests wait most of their time: more run at once than there are processors.
export E2E_JOBS ?= $(shell expr 6 \* $$(nproc))
export FUZZ_SECONDS SAN UNIT_TESTS E2E
# Each of the processes that run end-to-end tests would compile them again.
unexport PYTHONDONTWRITEBYTECODE
CHECK ?= unit e2e $(if $(SAN),,fuzz)

.PHONY: unit unit-programs e2e alone fuzz check check-unit check-e2e check-all
unit-programs: $(UNIT) $(SUPPORT)
# What the tests need is installed while the programs are built, which need little of it.
# Each push has the thorough end-to-end tests as well (tests/all.sh): THOROUGH=yes.
check: export THOROUGH := $(or $(THOROUGH),no)
check:
	$(call deps_for,unit fuzz)
	+@$(MAKE) --no-print-directory deps FOR=check & \
	$(MAKE) --no-print-directory $(PARALLEL) all unit-programs benches $(if $(SAN),,fuzzers) && \
	wait $$! $(if $(SAN),,&& $(MAKE) --no-print-directory browser)
	tests/run.sh $(CHECK)
unit check-unit:
	$(call deps_for,unit)
	+@$(MAKE) --no-print-directory $(PARALLEL) all unit-programs
	tests/run.sh unit
e2e check-e2e alone:
	$(call deps_for,$(if $(filter alone,$@),alone,e2e))
	+@$(MAKE) --no-print-directory $(PARALLEL) all benches $(SUPPORT) $(if $(SAN),,browser)
	tests/run.sh $(if $(filter alone,$@),alone,e2e)
# With no FUZZ_SECONDS, `make check` runs the fuzzers' corpus alone.
fuzz: export FUZZ_SECONDS := $(or $(FUZZ_SECONDS),10)
fuzz:
	$(call deps_for,fuzz)
	+@$(MAKE) --no-print-directory $(PARALLEL) fuzzers
	tests/run.sh fuzz
# Everything that must hold on each push; .ci/run is this on a bare machine.
check-all:
	$(call deps_for,unit fuzz)
	tests/all.sh
# Faults without end while the promises are checked; docs/RELIABILITY.md. SEED= repeats a schedule.
MINUTES ?= 3
BACKEND ?= both
.PHONY: soak
soak:
	$(call deps_for,soak)
	+@$(MAKE) --no-print-directory $(PARALLEL) all $(SUPPORT)
	tests/soak/soak.py --minutes $(MINUTES) --backend $(BACKEND) $(if $(SEED),--seed $(SEED))
# Debian 13, in a root folder, with libcamera 0.7.
.PHONY: check-distros
check-distros:
	$(call deps_for,check-distros)
	tests/guests/distros/run.sh
# Debian 13 in guests with real drivers; see docs/HARDWARE.md.
.PHONY: check-hw
check-hw:
	$(call deps_for,check-hw)
	tests/guests/hw/run.sh
# Guests with Debian 12: the kernel of Raspberry Pi OS's release, and the processors of Pis.
.PHONY: check-kernel check-kernel-all check-arm64
check-kernel check-kernel-all:
	$(call deps_for,check-kernel)
	+@$(MAKE) --no-print-directory $(PARALLEL) all unit-programs benches
	tests/guests/boards/run.sh amd64$(patsubst check-kernel%,%,$@)
check-arm64:
	$(call deps_for,check-arm64)
	tests/guests/boards/run.sh arm64 arm64-16k

# --- lint ---
LINT_C := $(shell find src include bench tests docs -name '*.[ch]' 2>/dev/null | sort)
LINT_CXX := $(sort $(wildcard wrapper/*.cpp wrapper/*.h))
LINT_SH := $(shell grep -rIlE '^\#(!/bin/(ba|da)?sh| shellcheck shell=)' .ci src tests bench examples 2>/dev/null | sort)
LINT_PY := $(shell find tests bench -name '*.py' 2>/dev/null | sort)
TIDY_CFLAGS = -std=c11 $(CPPFLAGS_ALL) $(call pc_cflags,$(PC_daemon) $(PC_capture) $(PC_client))
TIDY_CXXFLAGS = -std=c++17 $(CPPFLAGS_ALL) $(call pc_cflags,$(PC_wrapper))

.PHONY: lint
lint:
	$(call deps_for,lint)
	+@$(MAKE) --no-print-directory -k lint-format lint-cppcheck lint-shell lint-python lint-man lint-status \
		lint-readme lint-tidy
.PHONY: lint-format lint-tidy lint-cppcheck lint-shell lint-python lint-man lint-status lint-readme
lint-format:
	@clang-format --dry-run -Werror $(LINT_C) $(LINT_CXX)
lint-tidy:
	@export TIDY_VERSION="$$(clang-tidy --version)" && \
	printf '%s\n' $(filter %.c,$(LINT_C)) | xargs -P $$(nproc) -I{} \
		tests/tidy.sh {} $(TIDY_CFLAGS) && \
	printf '%s\n' $(filter %.cpp,$(LINT_CXX)) | xargs -P $$(nproc) -I{} \
		tests/tidy.sh {} $(TIDY_CXXFLAGS)
lint-cppcheck:
	cppcheck -q -j $$(nproc) --std=c11 --error-exitcode=1 --inline-suppr \
		--enable=warning,performance,portability --suppress=missingIncludeSystem \
		-D_GNU_SOURCE -Iinclude -Isrc -I. src bench tests docs
lint-shell:
	shellcheck -x -e SC2016 $(LINT_SH)
lint-python:
	pyflakes3 $(LINT_PY)
lint-man: $(MAN)
	mandoc -T lint -W warning $(MAN)
lint-status: $(B)/docs/STATUS.md
	diff -u docs/STATUS.md $< || { echo 'run `make status-page`'; false; }
lint-readme:
	tests/readme.sh
	python3 tests/docs.py

# --- installing ---
.PHONY: install uninstall
install: all
	install -D -t $(DESTDIR)$(bindir) $(PROGRAMS) src/system/camcast-doctor
	install -D -m 644 -t $(DESTDIR)$(mandir)/man1 $(B)/docs/man/camcast.1 $(B)/docs/man/camload.1 $(B)/docs/man/camcast-doctor.1
	install -D -m 644 -t $(DESTDIR)$(mandir)/man8 $(B)/docs/man/camcastd.8 $(B)/docs/man/camcast-capture.8 $(B)/docs/man/camcast-push.8
	install -D -m 644 -t $(DESTDIR)$(mandir)/man5 $(B)/docs/man/camcast.ini.5
	install -d $(DESTDIR)$(unitdir)
	for unit in camcastd camcast-record@; do \
		sed 's|@bindir@|$(bindir)|; s|@sysconfdir@|$(sysconfdir)|' src/system/$$unit.service \
			>$(DESTDIR)$(unitdir)/$$unit.service || exit 1; done
	install -D -m 644 -t $(DESTDIR)$(udevdir) src/system/60-camcast.rules
	install -D -m 644 -t $(DESTDIR)$(modulesdir) src/system/modules-load.d/camcast.conf
	install -D -m 644 -t $(DESTDIR)$(docdir)/examples $(wildcard examples/*.ini) examples/README.md
	install -D -t $(DESTDIR)$(docdir)/examples examples/record-on-command.sh
	test -e $(DESTDIR)$(sysconfdir)/camcast/config.ini || \
		install -D -m 644 config.ini $(DESTDIR)$(sysconfdir)/camcast/config.ini
	@[ -n "$(DESTDIR)" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
	@[ -n "$(DESTDIR)" ] || [ ! -e /run/udev/control ] || { udevadm control --reload && \
		udevadm trigger --action=change --subsystem-match=dma_heap && \
		udevadm trigger --action=change --subsystem-match=misc --sysname-match=udmabuf; }
uninstall:
	rm -rf $(DESTDIR)$(docdir)/examples
	rm -f $(addprefix $(DESTDIR)$(bindir)/,$(notdir $(PROGRAMS)) camcast-doctor) \
		$(DESTDIR)$(mandir)/man1/camcast.1 $(DESTDIR)$(mandir)/man1/camload.1 $(DESTDIR)$(mandir)/man1/camcast-doctor.1 \
		$(DESTDIR)$(mandir)/man8/camcastd.8 $(DESTDIR)$(mandir)/man8/camcast-capture.8 $(DESTDIR)$(mandir)/man8/camcast-push.8 \
		$(DESTDIR)$(mandir)/man5/camcast.ini.5 $(addprefix $(DESTDIR)$(unitdir)/,camcastd.service camcast-record@.service) $(DESTDIR)$(udevdir)/60-camcast.rules \
		$(DESTDIR)$(modulesdir)/camcast.conf
# A Debian package in $(B)/, checked by lintian: for this machine, or ARCH=arm64.
ARCH ?= $(shell dpkg --print-architecture)
.PHONY: deb
deb:
ifeq ($(ARCH),$(shell dpkg --print-architecture))
	$(call deps_for,deb)
	ARCH= src/system/deb.sh $(VERSION) $(B)
else
	$(call deps_for,deb-foreign)
	@mkdir -p $(B)
	tests/guests/$(ARCH)/run.sh deb $(B)
endif
	lintian --allow-root --fail-on error,warning $(B)/camcast_$(VERSION)_$(ARCH).deb

.PHONY: clean help
clean:
	rm -rf $(B)
help:
	@echo 'make            build the programs and manual pages into $(B)/'
	@echo 'make run        install what is missing, build, run camcastd -c $(CONFIG)'
	@echo 'make deps       install what the targets in FOR need (FOR="run check"); make list-deps prints it'
	@echo 'make install    to $(prefix), configuration to $(sysconfdir)/camcast; make uninstall'
	@echo 'make deb        a Debian package into $(B)/, for this machine or ARCH=arm64'
	@echo 'make clean      remove $(B)/'
	@echo
	@echo 'make check      unit tests, end-to-end tests, corpora of the fuzzers (SAN=address, SAN=thread)'
	@echo 'make unit       unit tests only (UNIT_TESTS=FILES)'
	@echo 'make e2e        end-to-end tests only (E2E=FILES); make alone: those that need a quiet machine'
	@echo 'make fuzz       fuzzers, FUZZ_SECONDS=10 each'
	@echo 'make lint       formatting, static analysis, manual pages, documents'
	@echo 'make check-all  everything that must hold on each push, with the four that follow'
	@echo 'make check-distros     build, unit tests, libcamera and "make run" on Debian 13'
	@echo 'make check-hw          the hardware paths, in guests with real drivers'
	@echo 'make check-kernel      the tests nearest to the kernel, in a guest with Linux 6.1'
	@echo 'make bench-page        the web page in Chromium and Firefox: how old a picture is;'
	@echo '                       with MINUTES=20, whether anything grows in that time'
	@echo 'make bench-quick       ratios to bare send loops; make bench: everything, on a quiet machine'
	@echo 'make bench-guest       TLS in the kernel and RTSP over UDP, in instructions of an emulated guest'
	@echo 'make soak       faults at random while the promises are checked (MINUTES=3 SEED=N BACKEND=both)'
	@echo 'make check-kernel-all  all tests of the daemon with Linux 6.1'
	@echo 'make check-arm64       cross-built, in two arm64 guests'
	@echo
	@echo 'make status-page  the tables of docs/STATUS.md, after a change in src/daemon/status/rows_*.c'
	@echo 'make man, unit-programs, benches, fuzzers, browser: what the targets above build first'

.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
