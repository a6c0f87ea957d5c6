$(B)/tests/unit/test_judge: $(B)/libbench.a
LDFLAGS_test_judge := -Wl,--whole-archive $(B)/libbench.a -Wl,--no-whole-archive
