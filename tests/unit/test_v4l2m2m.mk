# These tests play the driver: every way from the encoder to the kernel goes through v4l2_sim.c.
V4L2_SIM := $(B)/tests/unit/v4l2_sim.o $(B)/tests/unit/v4l2_fixture.o
LDFLAGS_test_v4l2m2m := $(V4L2_SIM) $(foreach f,open close ioctl mmap munmap stat,-Wl,--wrap=$(f))
LDFLAGS_test_v4l2_setup := $(LDFLAGS_test_v4l2m2m)
$(B)/tests/unit/test_v4l2m2m $(B)/tests/unit/test_v4l2_setup: $(V4L2_SIM)
