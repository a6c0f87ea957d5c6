# The tests on feed_rig, which stands between them and these functions.
FEED_RIG := test_http test_session test_feed test_feed_lag test_feed_policy test_loop test_loop_conn
FEED_RIG_WRAPS := clock_gettime getsockopt sendfile splice send malloc calloc realloc aligned_alloc mmap
$(foreach t,$(FEED_RIG),$(eval LDFLAGS_$t := $(B)/tests/unit/feed_rig.o $(FEED_RIG_WRAPS:%=-Wl,--wrap=%)))
$(FEED_RIG:%=$(B)/tests/unit/%): $(B)/tests/unit/feed_rig.o
LDFLAGS_test_loop += -Wl,--wrap=io_uring_queue_init_params
