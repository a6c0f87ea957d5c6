LDFLAGS_test_http := $(foreach f,clock_gettime malloc calloc,-Wl,--wrap=$f)
