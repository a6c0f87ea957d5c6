LDFLAGS_test_worker_demand := -Wl,--wrap=clock_gettime
