LDFLAGS_test_h264 := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
