# camcast: a camera to any number of viewers. `make help` lists the targets.
#
# Variables: B= build folder, SAN= address|thread, WERROR=0, V=1 shows the commands.

VERSION := 0.1.0
SAN ?=
B ?= build$(if $(SAN),-$(SAN))
prefix ?= /usr/local
DESTDIR ?=
Q := $(if $(V),,@)

CFLAGS ?= -O2 -g
CXXFLAGS ?= -O2 -g
PKG_CONFIG ?= pkg-config
CLANG ?= clang

SAN_FLAGS_address := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SAN_FLAGS_thread := -fsanitize=thread -fno-omit-frame-pointer
SAN_FLAGS := $(SAN_FLAGS_$(SAN))

WARN := -Wall -Wextra -Wshadow -Wpointer-arith -Wcast-qual -Wvla -Wundef $(if $(filter 0,$(WERROR)),,-Werror)
WARN_C := $(WARN) -Wstrict-prototypes -Wmissing-prototypes
CPPFLAGS_ALL := -D_GNU_SOURCE -DCAMCAST_VERSION='"$(VERSION)"' -Iinclude -Isrc -I. $(CPPFLAGS)
CFLAGS_ALL := -std=c11 -pthread -fvisibility=hidden $(WARN_C) $(SAN_FLAGS) $(CFLAGS)
CXXFLAGS_ALL := -std=c++17 -pthread $(WARN) $(SAN_FLAGS) $(CXXFLAGS)
LDFLAGS_ALL := -pthread $(SAN_FLAGS) $(LDFLAGS)

# Libraries by part. camcastd links no camera and no codec library.
PC_common := inih
PC_daemon := liburing libcjson libsystemd
LIBS_daemon := -lhttp_parser
PC_capture := libavformat libavcodec libswscale libavutil openh264 libjpeg
PC_wrapper := libcamera
pc_cflags = $(shell $(PKG_CONFIG) --cflags $(1) 2>/dev/null)
pc_libs = $(shell $(PKG_CONFIG) --libs $(1) 2>/dev/null)

SRC_common := $(sort $(wildcard src/common/*.c))
SRC_daemon := $(sort $(wildcard src/daemon/*.c))
SRC_capture := $(sort $(wildcard src/capture/*.c))
SRC_wrapper := $(sort $(wildcard wrapper/*.cpp))
obj = $(patsubst %,$(B)/%.o,$(basename $(1)))

OBJ_common := $(call obj,$(SRC_common))
OBJ_daemon := $(call obj,$(SRC_daemon))
OBJ_capture := $(call obj,$(SRC_capture))
OBJ_wrapper := $(call obj,$(SRC_wrapper))

# Everything but the mains, for the tests.
$(B)/libcommon.a: $(OBJ_common)
$(B)/libdaemon.a: $(filter-out %/main.o,$(OBJ_daemon))
$(B)/libcapture.a: $(filter-out %/main.o,$(OBJ_capture)) $(OBJ_wrapper)

PROGRAMS := $(B)/camcastd $(B)/camcast-capture
BENCHES := $(patsubst bench/%.c,$(B)/bench/%,$(sort $(wildcard bench/*.c)))

.PHONY: all
all: $(PROGRAMS)
.DEFAULT_GOAL := all

$(B)/camcastd: $(B)/src/daemon/main.o $(B)/libdaemon.a $(B)/libcommon.a
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(call pc_libs,$(PC_daemon) $(PC_common)) $(LIBS_daemon)
	@echo "  LINK $@"

$(B)/camcast-capture: $(B)/src/capture/main.o $(B)/libcapture.a $(B)/libcommon.a
	$(Q)$(CXX) $(LDFLAGS_ALL) -o $@ $^ $(call pc_libs,$(PC_capture) $(PC_wrapper) $(PC_common)) -lm
	@echo "  LINK $@"

$(B)/lib%.a:
	$(Q)rm -f $@; $(AR) crs $@ $^

$(B)/src/common/%.o: PC := $(PC_common)
$(B)/src/daemon/%.o: PC := $(PC_daemon)
$(B)/src/capture/%.o: PC := $(PC_capture)
$(B)/wrapper/%.o: PC := $(PC_wrapper)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(if $(PC),$(call pc_cflags,$(PC))) -MMD -MP -c -o $@ $<
	@echo "  CC   $<"

$(B)/%.o: %.cpp
	@mkdir -p $(@D)
	$(Q)$(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_ALL) $(if $(PC),$(call pc_cflags,$(PC))) -MMD -MP -c -o $@ $<
	@echo "  CXX  $<"

# --- unit tests: tests/unit/test_X.c, one program each; LDFLAGS_test_X for --wrap ---
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(UNIT_SRC))
-include tests/unit/*.mk

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/libdaemon.a $(B)/libcapture.a $(B)/libcommon.a
	$(Q)$(CXX) $(LDFLAGS_ALL) $(LDFLAGS_$*) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group \
		$(call pc_libs,$(PC_daemon) $(PC_capture) $(PC_wrapper) $(PC_common) cmocka) $(LIBS_daemon) -lm
$(B)/tests/%.o: PC := $(PC_daemon) $(PC_capture) $(PC_common)

.PHONY: unit
unit: $(UNIT)

# --- benchmarks: bench/X.c, one program each ---
.PHONY: benches
benches: $(BENCHES)
$(B)/bench/%: $(B)/bench/%.o $(B)/libcapture.a $(B)/libcommon.a
	$(Q)$(CXX) $(LDFLAGS_ALL) -o $@ $^ $(call pc_libs,$(PC_capture) $(PC_wrapper) $(PC_common) liburing) -lm
	@echo "  LINK $@"
$(B)/bench/%.o: PC := $(PC_daemon) $(PC_capture)

.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
