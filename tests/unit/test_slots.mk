LDFLAGS_test_slots := -Wl,--wrap=open -Wl,--wrap=ioctl
