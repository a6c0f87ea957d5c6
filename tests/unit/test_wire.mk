$(B)/tests/unit/test_wire: $(B)/libbench.a
LDFLAGS_test_wire := -Wl,--whole-archive $(B)/libbench.a -Wl,--no-whole-archive
