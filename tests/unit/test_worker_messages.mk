LDFLAGS_test_worker_messages := $(B)/tests/unit/worker_rig.o -Wl,--wrap=feed_set_preamble
$(B)/tests/unit/test_worker_messages: $(B)/tests/unit/worker_rig.o
