LDFLAGS_test_feed := $(B)/tests/unit/feed_rig.o $(foreach f,clock_gettime getsockopt sendfile send malloc calloc realloc aligned_alloc mmap,-Wl,--wrap=$f)
$(B)/tests/unit/test_feed: $(B)/tests/unit/feed_rig.o
