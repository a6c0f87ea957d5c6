LDFLAGS_test_discovery := $(B)/tests/unit/worker_rig.o $(foreach f,worker_status worker_stream_status,-Wl,--wrap=$f)
$(B)/tests/unit/test_discovery: $(B)/tests/unit/worker_rig.o
