LDFLAGS_test_h264_writer := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
