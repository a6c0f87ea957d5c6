LDFLAGS_test_loop_conn := $(B)/tests/unit/feed_rig.o $(foreach f,clock_gettime sendfile send malloc calloc realloc aligned_alloc mmap,-Wl,--wrap=$f)
$(B)/tests/unit/test_loop_conn: $(B)/tests/unit/feed_rig.o
