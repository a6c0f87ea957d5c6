LDFLAGS_test_reader := -Wl,--wrap=clock_gettime,--wrap=connect
