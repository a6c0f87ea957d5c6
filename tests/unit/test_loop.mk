LDFLAGS_test_loop := $(B)/tests/unit/feed_rig.o $(foreach f,clock_gettime sendfile send malloc calloc realloc aligned_alloc mmap io_uring_queue_init_params,-Wl,--wrap=$f)
$(B)/tests/unit/test_loop: $(B)/tests/unit/feed_rig.o
