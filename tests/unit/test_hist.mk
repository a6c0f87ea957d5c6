$(B)/tests/unit/test_hist: $(B)/libbench.a
LDFLAGS_test_hist := -Wl,--whole-archive $(B)/libbench.a -Wl,--no-whole-archive
