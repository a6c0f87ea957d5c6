LDFLAGS_test_listener := $(B)/tests/unit/worker_rig.o -Wl,--wrap=getpeername
$(B)/tests/unit/test_listener: $(B)/tests/unit/worker_rig.o
