LDFLAGS_test_worker := $(B)/tests/unit/worker_rig.o -Wl,--wrap=clock_gettime,--wrap=pidfd_send_signal
$(B)/tests/unit/test_worker: $(B)/tests/unit/worker_rig.o
