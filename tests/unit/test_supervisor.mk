LDFLAGS_test_supervisor := -Wl,--wrap=pidfd_send_signal
