LDFLAGS_test_logwriter := -Wl,--wrap=pwritev -Wl,--wrap=memfd_create
