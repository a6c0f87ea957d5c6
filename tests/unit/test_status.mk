LDFLAGS_test_status := $(B)/tests/unit/worker_rig.o $(foreach f,clock_gettime worker_status worker_stream_status worker_stream_wanted_us,-Wl,--wrap=$f)
$(B)/tests/unit/test_status: $(B)/tests/unit/worker_rig.o
