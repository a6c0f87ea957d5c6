LDFLAGS_test_worker_messages := $(B)/tests/unit/worker_rig.o
$(B)/tests/unit/test_worker_messages: $(B)/tests/unit/worker_rig.o
