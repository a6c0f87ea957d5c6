LDFLAGS_test_admission := $(B)/tests/unit/worker_rig.o -Wl,--wrap=getpeername
$(B)/tests/unit/test_admission: $(B)/tests/unit/worker_rig.o
